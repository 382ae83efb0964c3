"""A rank of the doctor's gang: `python -m …slurm.doctor_rank FOLDER RANKS [PROGRAM]`.

The first listens, and writes its address into the folder; the others find it there, connect, and
compare clocks. Each writes what it found into the folder, also whether its node has the PROGRAM.
"""

import os
import shutil
import socket
import sys
import time
from pathlib import Path

import msgspec

from parkade.engines.local import records
from parkade.engines.local.clocks import wall_us
from parkade.engines.slurm.doctor import Rank

WAIT_S = 60.0
POLL_S = 0.1
DIGITS = 20


def main() -> None:
    """Meets the others; an exception is what `srun` reports."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    rank, node = int(os.environ["SLURM_PROCID"]), os.environ["SLURMD_NODENAME"]
    program = "".join(sys.argv[3:4])
    lacks = "" if not program or shutil.which(program) else program
    if rank == 0:
        _first(folder, count)
        now_us = wall_us()
        found = Rank(node=node, clock_us=now_us, first_us=now_us, lacks=lacks)
    else:
        first_us = _other(folder)
        found = Rank(node=node, clock_us=wall_us(), first_us=first_us, lacks=lacks)
    records.write(folder / f"rank-{rank}", found)


def _first(folder: Path, count: int) -> None:
    with socket.create_server(("", 0)) as server:
        server.settimeout(WAIT_S)
        address = os.environ.get("SLURM_LAUNCH_NODE_IPADDR") or socket.gethostname()
        records.write(folder / "address", (address, server.getsockname()[1]), mode=0o644)
        for _ in range(count - 1):
            connection, _address = server.accept()
            with connection:
                connection.sendall(f"{wall_us():0{DIGITS}d}".encode())


def _other(folder: Path) -> int:
    """The first one's clock."""
    ends_at = time.monotonic() + WAIT_S
    while not (content := records.read_bounded(folder / "address")):
        if time.monotonic() >= ends_at:
            sys.exit(f"{folder} is not shared: the first rank's address is not seen here")
        time.sleep(POLL_S)
    host, port = msgspec.json.decode(content, type=tuple[str, int])
    with socket.create_connection((host, port), timeout=WAIT_S) as connection:
        return int(connection.recv(DIGITS, socket.MSG_WAITALL))


if __name__ == "__main__":
    main()
