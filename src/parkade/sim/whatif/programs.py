"""How each workload of a journal behaved, and so how it would behave elsewhere.

Theory of operation. Under other terms a workload runs at other times and places, so what its
program did then is not in the journal. What is taken over of each one: how long its first process
took to come, how much it had to run in all, at which points it failed, how long it took to save, or
that it did not. Its length is what it ran in the journal until it succeeded, less what it lost. One
that was still running, or that was cancelled, runs until then; one that never ran is given the
median length of those that ended by themselves, and is counted (`assumed`).

The work of an elastic program is measured in node-time: what ran 50 min on 2 nodes and 20 min on 5
has done 200 node-min, and would have been done after 100 min on 2. That it gains by each node what
the first gave it is a bound: programs gain less.

Example: w1 ran 50 min, was preempted and had saved, ran 30 min and ended with 0. Its length is 80
min: with a longer notice it may run them in one piece.
"""

from collections.abc import Sequence
from statistics import median_low

import msgspec

from parkade.core.state import events, lines
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Phase

STARTING_US = 5 * SECOND_US


class Program(msgspec.Struct, kw_only=True):
    """What is known of one workload's program; spans of microseconds, what is run of an elastic one
    times its nodes."""

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
    """All of a journal's. `starting_us` and `saving_us` are the medians for those that tell
    nothing, `length_us` that for those that never ran; None: no one ended by itself."""

    by_workload: dict[str, Program]
    starting_us: int
    saving_us: int
    length_us: int | None


def programs_of(journal: Sequence[events.AnyEvent]) -> Programs:
    """Read from the events alone."""
    reader = _Reader()
    for event in journal:
        reader.follow(event)
    found = reader.programs
    starting = [span for it in found.values() for span in it.starting_us]
    saving = [span for it in found.values() for span, is_saved in it.saves if is_saved]
    lengths = [
        it.length_us // max(1, it.least_nodes) for it in found.values() if it.length_us is not None
    ]
    return Programs(
        by_workload=found,
        starting_us=median_low(starting) if starting else STARTING_US,
        saving_us=median_low(saving) if saving else STARTING_US,
        length_us=median_low(lengths) if lengths else None,
    )


class _Run(msgspec.Struct, kw_only=True):
    """An attempt on its way."""

    ordered_us: int
    nodes: int
    started_us: int | None = None
    saved_us: int | None = None
    noticed_us: int | None = None


class _Reader:
    def __init__(self) -> None:
        self.programs: dict[str, Program] = {}
        self._runs: dict[str, _Run] = {}

    def follow(self, event: events.AnyEvent) -> None:
        """The next event."""
        match event:
            case events.Submitted(workload=it):
                least = it.spec.nodes if it.spec.is_elastic else 0
                self.programs[it.workload] = Program(
                    least_nodes=least, starting_us=[], fails_us=[], saves=[]
                )
            case events.Launched(workload=name, attempt=attempt):
                self._runs[name] = _Run(ordered_us=attempt.ordered_us, nodes=len(attempt.seats))
            case events.Started(workload=name):
                run = self._runs[name]
                run.started_us = event.at_us
                self.programs[name].starting_us.append(event.at_us - run.ordered_us)
                self.programs[name].has_run = True
            case events.Checkpointed(workload=name):
                self._runs[name].saved_us = event.at_us
            case events.StopOrdered(workload=name, stop=stop):
                self._notice(name, stop.noticed_us)
            case events.Cleared(left=left):
                for leaving in left:
                    if leaving.stop is not None:
                        self._notice(lines.name_of(leaving.demand), leaving.stop.noticed_us)
            case events.Ended():
                self._end(event)
            case _:
                pass

    def _notice(self, name: str, at_us: int) -> None:
        run = self._runs.get(name)
        if run is not None and run.noticed_us is None:
            run.noticed_us = at_us

    def _end(self, event: events.Ended) -> None:
        run, program = self._runs.pop(event.workload), self.programs[event.workload]
        if run.started_us is None:
            return
        ran_us, nodes = max(0, event.at_us - run.started_us), program.nodes_counted(run.nodes)
        is_over = event.phase is Phase.SUCCEEDED
        has_failed = event.cause is None and not is_over and not event.is_saved
        if run.noticed_us is not None and not is_over:
            program.saves.append((max(0, event.at_us - run.noticed_us), event.is_saved))
        if is_over or event.is_saved or has_failed:
            program.ran_us += ran_us * nodes
        elif run.saved_us is not None:
            program.ran_us += max(0, run.saved_us - run.started_us) * nodes
        if has_failed:
            program.fails_us.append(program.ran_us)
        if is_over:
            program.length_us = program.ran_us


ASSUMED_US = HOUR_US
"""How long one that never ran has to run, where no other tells."""
