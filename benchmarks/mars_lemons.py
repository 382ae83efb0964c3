"""What pulling lemon nodes would have saved, on every fault of 400 servers over 174 days.

    PARKADE_SHARED_DATA=FOLDER python benchmarks/mars_lemons.py

A node is pulled at its second fault within 14 days, as the shipped rule says, and stays out: what
it had after that would not have happened. That is an upper bound, as the node in its place has no
faults.
"""

import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.mars_buffer import TRACE, read_faults, trace_path
from parkade.core.healing.lemons import LemonLimits, NodeRecord, find_lemons


def main() -> None:
    """Prints nodes pulled and faults saved."""
    path = trace_path()
    if path is None:
        sys.exit(f"{TRACE} is not here; set PARKADE_SHARED_DATA to the folder that has it")
    faults, limits = read_faults(path), LemonLimits()
    starts: dict[int, list[int]] = defaultdict(list)
    pulled: set[int] = set()
    saved = 0
    for fault in faults:
        if fault.node in pulled:
            saved += 1
            continue
        starts[fault.node].append(fault.start_us)
        record = NodeRecord(str(fault.node), tuple(starts[fault.node]), {})
        if find_lemons((record,), fault.start_us, limits=limits):
            pulled.add(fault.node)
    share = saved / len(faults) * 100
    print(f"{len(pulled)} nodes pulled, {saved} of {len(faults)} faults saved ({share:.1f} %)")


if __name__ == "__main__":
    main()
