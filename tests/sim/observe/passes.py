"""What a controller's log says of its passes, as short lines: a kept one is a few dozen kilobytes.

Each line begins with an instant in seconds since 1970. `pass` begins a backfill; of it are `fill
JOB NODES`, which it starts, and `plan JOB START END NODES`. `start JOB NODES` is of the pass in
order, `end JOB` of a job that is over. This needs `scontrol setdebugflags +backfill`.
"""

import re
import time
from collections.abc import Iterable, Iterator

_LINE = re.compile(r"\[(\S+?)\.\d+\] (.*)")
_ALLOCATED = re.compile(r"sched: Allocate JobId=(\d+) NodeList=(\S+) ")
_STARTED = re.compile(r"_start_job: Started JobId=(\d+) in \S+ on (\S+)")
_DONE = re.compile(r"_job_complete: JobId=(\d+) done")
_PLANNED = re.compile(
    r"_dump_job_sched: JobId=(\d+) to start at (\S+), end at (\S+) on nodes (\S+) in partition"
)


def passes(log: Iterable[str]) -> Iterator[str]:
    """The lines of a log that was written in this machine's time zone."""
    for line in log:
        found = _LINE.match(line)
        if found is None:
            continue
        at, words = found.groups()
        if "_attempt_backfill: beginning" in words:
            yield f"{_seconds(at)} pass"
        elif done := _DONE.search(words):
            yield f"{_seconds(at)} end {done[1]}"
        elif filled := _STARTED.search(words):
            yield f"{_seconds(at)} fill {filled[1]} {filled[2]}"
        elif started := _ALLOCATED.search(words):
            yield f"{_seconds(at)} start {started[1]} {started[2]}"
        elif plan := _PLANNED.search(words):
            yield f"{_seconds(at)} plan {plan[1]} {_seconds(plan[2])} {_seconds(plan[3])} {plan[4]}"


def _seconds(local: str) -> int:
    return round(time.mktime(time.strptime(local, "%Y-%m-%dT%H:%M:%S")))
