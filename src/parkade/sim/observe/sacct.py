"""`sacct -P` as jobs: strict about what a value is, kind about what Slurm is known to print.

Steps are left out (they repeat their job), heterogeneous jobs are one job a component, a pending
array is as many jobs as it has tasks, and a requeued job is one job a run. A row that no rule
knows is left out, counted and shown. A file without the columns that are needed is refused with
the command that makes one.

The cost is a few microseconds a row: texts that repeat (resources, limits, lists of nodes) are read
once and remembered, within a bound.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from parkade.core.units.visible import visible
from parkade.sim.observe.asking import NEEDED, SACCT, USED
from parkade.sim.observe.jobs import NEVER, Jobs, Kind, Reading
from parkade.sim.observe.lines import Lines
from parkade.sim.observe.values import (
    UNKNOWN,
    Resources,
    hosts,
    instant,
    limit_s,
    resources,
    span_s,
)
from parkade.sim.replay.tables import BadData

DELIMITERS = "|\t;^!%~\x1f"
MOST_ROWS = 5_000_000
MOST_JOBS = 10_000_000
MOST_EXAMPLES = 5
LONGEST_EXAMPLE = 160
MOST_REMEMBERED = 200_000
MOST_TASKS = 10_000
PARKADES = "parkade_"
"""How the names begin of Slurm reservations that Parkade itself makes: the fence of a pool, and one
for each owner's job in it."""
STARTED_STATES = frozenset(
    {"COMPLETING", "CONFIGURING", "RESIZING", "RUNNING", "SIGNALING", "STAGE_OUT", "STOPPED"}
    | {"SUSPENDED"}
)
WAITING_STATES = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
ENDED_STATES = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL"}
    | {"OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL", "TIMEOUT"}
)
STATES = STARTED_STATES | WAITING_STATES | ENDED_STATES
_STEP = re.compile(r"\.(?:batch|extern|interactive|\d{1,10})$")
_TASKS = re.compile(r"_\[([0-9,:-]{1,2000})(?:%\d{1,9})?\]$")
_TASK_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})(?::(\d{1,9}))?")
T = TypeVar("T")


def read_jobs(file: Path) -> tuple[Jobs, Reading]:
    """All jobs of a file. Raises `BadData` where it is not what `sacct` was asked for."""
    lines = Lines(file)
    rows = iter(lines)
    header = next(rows, "")
    delimiter, places = _columns(file, header)
    width = header.count(delimiter) + 1
    reader = _Reader(places)
    reading = reader.reading
    for line in rows:
        row = line.split(delimiter)
        if len(row) != width and (not line.strip() or line == header):
            continue
        reading.rows += 1
        if reading.rows > MOST_ROWS:
            raise BadData(f"{file} has more than {MOST_ROWS:,} rows; ask sacct for fewer days")
        if len(row) == width:
            try:
                reader.take(row)
            except ValueError as error:
                reader.refuse(line, str(error))
        elif lines.is_cut:
            reading.left_out["the last line, which is cut off"] += 1
        else:
            reader.refuse(line, f"{len(row)} columns in place of {width}")
    if lines.too_long:
        reading.rows += lines.too_long
        reading.left_out["lines longer than any row"] += lines.too_long
    if not len(reader.jobs):
        shown = "".join(f"\n  {example}" for example in reading.examples)
        raise BadData(f"{file} has no jobs. Make it with\n  {SACCT}{shown}")
    return reader.jobs, reading


def _columns(file: Path, header: str) -> tuple[str, dict[str, int]]:
    """(delimiter, place of each column that is used)."""
    best = max(DELIMITERS, key=lambda it: len(set(header.split(it)) & set(USED)))
    names = header.split(best)
    lacking = [name for name in NEEDED if name not in names]
    if not lacking:
        return best, {name: names.index(name) for name in USED if name in names}
    if len(lacking) == len(NEEDED):
        found = (
            f"its first line is {visible(header[:LONGEST_EXAMPLE])!r}" if header else "it is empty"
        )
        what = f"{found}, not the names of columns (leave out -n, and write -P or --parsable2)"
        if header.count(",") >= len(NEEDED) - 1:
            what = "its columns are divided by commas, which lists of nodes hold too; use -P"
    else:
        what = f"it lacks the columns {', '.join(lacking)}"
    raise BadData(f"{file} is not what is needed: {what}. Make it with\n  {SACCT}")


class _Reader:
    """Takes rows one by one."""

    def __init__(self, places: dict[str, int]) -> None:
        self.jobs = Jobs()
        self.reading = Reading()
        (
            self._raw, self._account, self._partition, self._state, self._submit, self._eligible,
            self._start, self._end, self._asked, self._held, self._nodes, self._hosts,
        ) = (places[name] for name in NEEDED)  # fmt: skip
        self._id = places.get("JobID", self._raw)
        self._limit = places.get("TimelimitRaw", places.get("Timelimit"))
        self._priority = places.get("Priority")
        self._cpu = places.get("TotalCPU")
        self._reservation = places.get("Reservation")
        self._resources: dict[str, Resources] = {}
        self._limits: dict[str, int | None] = {}
        self._spans: dict[str, int] = {}
        self._host_lists: dict[str, int] = {}
        self._host_names: dict[str, str] = {}

    def refuse(self, line: str, reason: str) -> None:
        """A row that no rule knows."""
        self.reading.left_out["rows that no rule knows"] += 1
        if len(self.reading.examples) < MOST_EXAMPLES:
            reason, line = reason[:LONGEST_EXAMPLE], line[:LONGEST_EXAMPLE]
            self.reading.examples.append(visible(f"{reason}: {line}"))

    def take(self, row: list[str]) -> None:
        """A row of as many columns as the header; raises `ValueError` with what is wrong."""
        reading = self.reading
        if "." in row[self._raw] and _STEP.search(row[self._raw]):
            reading.left_out["steps (their job stands for them)"] += 1
            return
        state = row[self._state].partition(" ")[0].rstrip("+")
        if state == "REVOKED":
            reading.left_out["copies in a federation"] += 1
            return
        if state not in STATES:
            raise ValueError(f"state {state[:40]!r}")
        submit_s = instant(row[self._submit])
        if submit_s is None:
            raise ValueError("no instant of submission")
        start_s, end_s = instant(row[self._start]), instant(row[self._end])
        asked = self._remembered(self._resources, row[self._asked], resources)
        held = self._remembered(self._resources, row[self._held], resources)
        kind = _kind(state, start_s, end_s, held)
        if kind is Kind.LEFT:
            start_s, end_s = None, end_s if end_s is not None else start_s
            end_s = submit_s if end_s is None else end_s
        if start_s is not None and end_s is not None and end_s < start_s:
            raise ValueError("it ends before it starts")
        if kind is Kind.RUNNING and state in ENDED_STATES:
            reading.noted["ended at an unknown time: taken as still running"] += 1
        self._append(row, kind, (submit_s, start_s, end_s), asked, held)

    def _append(
        self,
        row: list[str],
        kind: Kind,
        times: tuple[int, int | None, int | None],
        asked: Resources,
        held: Resources,
    ) -> None:
        submit_s, start_s, end_s = times
        jobs = self.jobs
        # What may be refused comes first, so that all columns stay equally long.
        eligible_s = instant(row[self._eligible])
        eligible_s = submit_s if eligible_s is None else eligible_s
        if start_s is not None:
            eligible_s = min(eligible_s, start_s)
        limit = row[self._limit] if self._limit is not None else ""
        own_limit_s = self._remembered(self._limits, limit, limit_s)
        cpu = row[self._cpu] if self._cpu is not None else ""
        cpu_s = NEVER if cpu in UNKNOWN else self._remembered(self._spans, cpu, span_s)
        priority = row[self._priority] if self._priority is not None else ""
        rank = float(int(priority)) if priority.isdigit() and len(priority) <= 12 else 0.0
        account = jobs.accounts.number(row[self._account])
        partition = jobs.partitions.number(row[self._partition].partition(",")[0])
        place = self._reservation
        name = "" if place is None else row[place]
        if name.startswith(PARKADES):
            self.reading.noted["in a fence of Parkade's, which is no account's reservation"] += 1
            name = ""
        reservation = jobs.reservations.number(name)
        model = jobs.models.number(held.model or asked.model)
        host_list = self._host_list(row[self._hosts])
        uses = asked if kind in (Kind.PENDING, Kind.LEFT) else held
        if not uses.cpus:
            uses = asked
        nodes = max(1, uses.nodes, _count(row[self._nodes]))
        copies = self._tasks(row[self._id]) if kind is Kind.PENDING else 1
        if len(jobs) + copies > MOST_JOBS:
            raise BadData(f"the file holds more than {MOST_JOBS:,} jobs; ask for fewer days")
        if "+" in row[self._id]:
            self.reading.noted["components of heterogeneous jobs"] += 1
        if row[self._state].startswith(("REQUEUED", "PREEMPTED", "NODE_FAIL")):
            self.reading.noted["runs that were requeued, preempted or lost their node"] += 1
        for _ in range(copies):
            jobs.kind.append(kind)
            jobs.submit_s.append(submit_s)
            jobs.eligible_s.append(eligible_s)
            jobs.start_s.append(NEVER if start_s is None else start_s)
            jobs.end_s.append(NEVER if end_s is None else end_s)
            jobs.limit_s.append(NEVER if own_limit_s is None else own_limit_s)
            jobs.gpus.append(uses.gpus)
            jobs.asked_gpus.append(asked.gpus)
            jobs.cpus.append(uses.cpus)
            jobs.nodes.append(nodes)
            jobs.cpu_s.append(cpu_s)
            jobs.priority.append(rank)
            jobs.account.append(account)
            jobs.partition.append(partition)
            jobs.reservation.append(reservation)
            jobs.model.append(model)
            jobs.hosts.append(host_list)

    def _tasks(self, job: str) -> int:
        """How many tasks a pending array has."""
        found = _TASKS.search(job)
        if found is None:
            return 1
        count = 0
        for part in found.group(1).split(","):
            tasks = _TASK_RANGE.fullmatch(part)
            if tasks is None:
                count += 1
            else:
                first, last, step = (int(it) if it else 1 for it in tasks.groups())
                count += max(0, last - first) // max(1, step) + 1
        self.reading.noted["pending arrays, a job for each task"] += 1
        if count > MOST_TASKS:
            self.reading.noted[f"arrays cut to {MOST_TASKS:,} tasks"] += 1
        return min(count, MOST_TASKS)

    def _host_list(self, text: str) -> int:
        """The number of a list of nodes; equal names are one text in memory."""
        found = self._host_lists.get(text)
        if found is None:
            names = tuple(self._host_names.setdefault(name, name) for name in hosts(text))
            found = 0
            if names:
                found = len(self.jobs.host_lists)
                self.jobs.host_lists.append(names)
            if len(self._host_lists) < MOST_REMEMBERED:
                self._host_lists[text] = found
        return found

    @staticmethod
    def _remembered(known: dict[str, T], text: str, read: Callable[[str], T]) -> T:
        if text in known:
            return known[text]
        found = read(text)
        if len(known) < MOST_REMEMBERED:
            known[text] = found
        return found


def _kind(state: str, start_s: int | None, end_s: int | None, held: Resources) -> Kind:
    """A job cancelled in the queue has held nothing, whatever instants Slurm gives it."""
    has_held = held.cpus > 0 or held.gpus > 0
    if start_s is None or (end_s is not None and not has_held):
        return Kind.PENDING if state in WAITING_STATES and end_s is None else Kind.LEFT
    if state == "PENDING":
        return Kind.PENDING
    return Kind.RUNNING if end_s is None else Kind.RAN


def _count(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ValueError("no number of nodes")
    return int(text)
