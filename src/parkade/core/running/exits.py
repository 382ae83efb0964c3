"""How the ranks of an attempt exited, in one code and in one line. What it means is judged in
`observations`."""

from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.saving import EXIT_FOR_GOOD

# What a shell adds to a signal's number.
SIGNALLED = 128


def all_known(seen: ObservedAttempt) -> bool:
    """Whether it was seen how each rank ended."""
    exits = seen.exits
    return bool(exits) and all(it.code is not None or it.signal is not None for it in exits)


def all_zero(seen: ObservedAttempt) -> bool:
    """Whether every rank exited with 0."""
    return bool(seen.exits) and all(exit.code == 0 for exit in seen.exits)


def exit_code_of(seen: ObservedAttempt) -> int | None:
    """The code of the whole attempt as a shell would have it: of the first rank that ended with
    anything but 0, and 128 + its signal where a signal ended it; 0 where all ended with 0. None
    where some rank's end is not known, unless another failed. A rank's 78 speaks for all."""
    codes = [
        rank.code if rank.code is not None else rank.signal and SIGNALLED + rank.signal
        for rank in seen.exits
    ]
    failed = next((code for code in codes if code), None)
    failed = EXIT_FOR_GOOD if EXIT_FOR_GOOD in codes else failed
    return failed if failed is not None or None in codes or not codes else 0


def summary_of(seen: ObservedAttempt) -> str:
    """How every rank ended, in one line, and why its checkpoint report is not believed."""
    if seen.launch_error is not None:
        return f"could not be launched: {seen.launch_error}"
    ends = []
    for rank in seen.exits:
        if rank.code is not None:
            remark = " (says that trying again is of no use)" if rank.code == EXIT_FOR_GOOD else ""
            ends.append(f"rank {rank.rank}: exit {rank.code}{remark}")
        elif rank.signal is not None:
            ends.append(f"rank {rank.rank}: signal {rank.signal}")
        else:
            ends.append(f"rank {rank.rank}: unknown")
    line = "; ".join(ends) or "lost"
    return line if seen.report_problem is None else f"{line}; {seen.report_problem}"
