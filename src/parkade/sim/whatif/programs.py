"""How each workload of a journal behaved, and so how it would behave elsewhere.

Theory of operation. Under other terms a workload runs at other times and places, so what its
program did then is not in the journal. What is taken over of each one: how long its first process
took to come, how much it had to run in all, at which points it failed, how long it took to save, or
that it did not. Its length is what it ran in the journal until it succeeded, less what it lost. One
that was still running, or that was cancelled, runs until then; one that never ran is given the
median length of those that ended by themselves, and is counted (`assumed`).

The work of an elastic program is measured in node-time: what ran 50 min on 2 nodes and 20 min on 5
has done 200 node-min, and would have been done after 100 min on 2. That it gains by each node what
the first gave it is a bound: programs gain less. Ranks of a live one count from when they begin
until they are told to leave.

One that was submitted again, or a member that was retried, has a *life* for each time: it begins
anew.

Example: w1 ran 50 min, was preempted and had saved, ran 30 min and ended with 0. Its length is 80
min: with a longer notice it may run them in one piece.
"""

from collections.abc import Sequence
from statistics import median_low

import msgspec

from parkade.core.state import events, lines
from parkade.core.units import indexes
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.array import member_name
from parkade.core.workloads.life import Phase
from parkade.core.workloads.ranks import begun_of
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Rank

STARTING_US = 5 * SECOND_US


class Program(msgspec.Struct, kw_only=True):
    """What is known of one life of a workload's program; spans of microseconds, what is run of an
    elastic one times its nodes."""

    least_nodes: int = 0
    """Of an elastic one, the least that it asks for; 0: its number of nodes is fixed."""

    starting_us: list[int]
    """Of each attempt, from its order to the first process."""

    length_us: int | None = None
    """How long it has to run; None: it never ended by itself."""

    fails_us: list[int]
    """After so much running in all it failed."""

    saves: list[tuple[int, bool]]
    """Of each notice while it ran: how long it stayed, and whether it had saved."""

    ran_us: int = 0
    has_run: bool = False

    def nodes_counted(self, nodes: int) -> int:
        """By how many its work goes on together on so many nodes."""
        return nodes if self.least_nodes else 1


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """All of a journal's, the lives of each in order. `starting_us` and `saving_us` are the medians
    for those that tell nothing, `leaving_us` that for single ranks that are told to leave,
    `length_us` that for those that never ran; None: no one ended by itself."""

    by_workload: dict[str, list[Program]]
    starting_us: int
    saving_us: int
    leaving_us: int
    length_us: int | None


def programs_of(journal: Sequence[events.AnyEvent]) -> Programs:
    """Read from the events alone."""
    reader = _Reader()
    for event in journal:
        reader.follow(event)
    found = [it for lives in reader.programs.values() for it in lives]
    starting = [span for it in found for span in it.starting_us]
    saving = [span for it in found for span, is_saved in it.saves if is_saved]
    lengths = [it.length_us // max(1, it.least_nodes) for it in found if it.length_us is not None]
    return Programs(
        by_workload=reader.programs,
        starting_us=median_low(starting) if starting else STARTING_US,
        saving_us=median_low(saving) if saving else STARTING_US,
        leaving_us=median_low(reader.leaving_us) if reader.leaving_us else STARTING_US,
        length_us=median_low(lengths) if lengths else None,
    )


class _Run(msgspec.Struct, kw_only=True):
    """An attempt on its way."""

    ordered_us: int

    nodes: int
    """By how many its work goes on together."""

    started_us: int | None = None
    since_us: int = 0
    """Since when it has these nodes."""

    before_us: int = 0
    """What it had done until then."""

    saved_us: int | None = None
    """What it had done at its last checkpoint."""

    noticed_us: int | None = None
    leave_from_us: dict[tuple[int, int], int]
    """Ranks that were told to leave alone, and when."""

    def done_us(self, at_us: int) -> int:
        """What it has run up to an instant, of an elastic one times its nodes."""
        if self.started_us is None:
            return 0
        return self.before_us + max(0, at_us - self.since_us) * self.nodes


class _Reader:
    def __init__(self) -> None:
        self.programs: dict[str, list[Program]] = {}
        self.leaving_us: list[int] = []
        self._runs: dict[str, _Run] = {}
        self._arrays: dict[str, Spec] = {}

    def follow(self, event: events.AnyEvent) -> None:
        """The next event."""
        match event:
            case events.Submitted(workload=it) if it.array is not None:
                self._arrays[it.workload] = it.spec
            case events.Submitted(workload=it) | events.Resubmitted(workload=it):
                self._open(it.workload, it.spec)
            case events.MembersOpened(workload=name, members=members):
                for index in indexes.indexes(members):
                    self._open(member_name(name, index), self._arrays[name])
            case events.Launched(workload=name, attempt=attempt):
                nodes = self._program(name).nodes_counted(len(attempt.seats))
                self._runs[name] = _Run(
                    ordered_us=attempt.ordered_us, nodes=nodes, leave_from_us={}
                )
            case events.Started(workload=name):
                run = self._runs[name]
                run.started_us = run.since_us = event.at_us
                self._program(name).starting_us.append(event.at_us - run.ordered_us)
                self._program(name).has_run = True
            case events.Checkpointed(workload=name):
                self._runs[name].saved_us = self._runs[name].done_us(event.at_us)
            case events.StopOrdered(workload=name, stop=stop):
                self._notice(name, stop.noticed_us)
            case events.RanksChanged(workload=name, ranks=ranks):
                self._ranks_changed(name, ranks, event.at_us)
            case events.Cleared(left=left, resized=resized):
                for leaving in left:
                    if leaving.stop is not None:
                        self._notice(lines.name_of(leaving.demand), leaving.stop.noticed_us)
                for line in resized:
                    self._ranks_changed(line.workload, line.ranks, event.at_us)
            case events.Ended():
                self._end(event)
            case _:
                pass

    def _open(self, name: str, spec: Spec) -> None:
        least = spec.nodes if spec.is_elastic else 0
        program = Program(least_nodes=least, starting_us=[], fails_us=[], saves=[])
        self.programs.setdefault(name, []).append(program)

    def _program(self, name: str) -> Program:
        return self.programs[name][-1]

    def _notice(self, name: str, at_us: int) -> None:
        run = self._runs.get(name)
        if run is not None and run.noticed_us is None:
            run.noticed_us = at_us

    def _ranks_changed(self, name: str, ranks: tuple[Rank, ...], at_us: int) -> None:
        run = self._runs[name]
        run.before_us, run.since_us = run.done_us(at_us), max(at_us, run.since_us)
        run.nodes = self._program(name).nodes_counted(len(begun_of(ranks)))
        there = {(it.rank, it.since): it.leaving for it in ranks}
        for key, leave_from_us in tuple(run.leave_from_us.items()):
            if key not in there:
                self.leaving_us.append(max(0, at_us - leave_from_us))
                del run.leave_from_us[key]
        for key, leaving in there.items():
            if leaving is not None and leaving.stop.deadline_us > leaving.stop.noticed_us:
                run.leave_from_us[key] = leaving.stop.noticed_us

    def _end(self, event: events.Ended) -> None:
        run, program = self._runs.pop(event.workload), self._program(event.workload)
        if run.started_us is None:
            return
        is_over = event.phase is Phase.SUCCEEDED
        has_failed = event.cause is None and not is_over and not event.is_saved
        if run.noticed_us is not None and not is_over:
            program.saves.append((max(0, event.at_us - run.noticed_us), event.is_saved))
        if is_over or event.is_saved or has_failed:
            program.ran_us += run.done_us(event.at_us)
        elif run.saved_us is not None:
            program.ran_us += run.saved_us
        if has_failed:
            program.fails_us.append(program.ran_us)
        if is_over:
            program.length_us = program.ran_us


ASSUMED_US = HOUR_US
"""How long one that never ran has to run, where no other tells."""
