"""A workload of another run, with its program as the journal knows it: when it is done or fails,
and how long it stays at a notice."""

import msgspec

from parkade.core.units.money import ceil_div
from parkade.core.workloads.workload import Stop
from parkade.sim.whatif.programs import ASSUMED_US, Program, Programs

NEVER_US = 2**62


class Runner(msgspec.Struct, kw_only=True):
    """One life of a workload; spans as in `programs`."""

    program: Program
    length_us: int | None
    fails_us: list[int]
    saves: list[tuple[int, bool]]

    ran_us: int = 0
    """What ended attempts have done and kept."""

    attempts: int = 0
    generation: int | None = None
    """Of its attempt; None: it has none."""

    nodes: int = 1
    """By how many its work goes on together."""

    started_us: int | None = None
    since_us: int = 0
    """Since when it has these nodes."""

    done_us: int = 0
    """What its attempt had done until then."""

    stretches: int = 0
    """How often its nodes changed."""

    leaving: set[tuple[int, int]] = msgspec.field(default_factory=set)
    """Ranks that were told to leave alone."""

    joined: dict[tuple[int, int], bool] = msgspec.field(default_factory=dict)
    """Ranks that joined, and whether they have begun."""

    stop: Stop | None = None
    leaves_us: int | None = None
    saves_now: bool = False

    def launch(self, generation: int, nodes: int) -> None:
        """Another attempt is ordered."""
        self.attempts += 1
        self.generation, self.nodes = generation, self.program.nodes_counted(nodes)
        self.started_us, self.since_us, self.done_us = None, 0, 0
        self.stop, self.leaves_us, self.saves_now = None, None, False
        self.leaving, self.joined = set(), {}

    def start(self, now_us: int) -> None:
        """Its first process runs."""
        self.started_us = self.since_us = now_us

    def resize(self, nodes: int, now_us: int) -> None:
        """It goes on with so many nodes."""
        self.done_us += (now_us - self.since_us) * self.nodes
        self.since_us, self.nodes = now_us, self.program.nodes_counted(nodes)
        self.stretches += 1

    def end(self, now_us: int, *, is_kept: bool) -> None:
        """Its attempt is over."""
        if self.started_us is not None and is_kept:
            self.ran_us += self.done_us + (now_us - self.since_us) * self.nodes

    def to_run_us(self) -> int:
        """From `since_us` until it is done or fails, on the nodes that it has."""
        ends = [it for it in (self.length_us, *self.fails_us[:1]) if it is not None]
        left_us = min(ends, default=NEVER_US) - self.ran_us - self.done_us
        return ceil_div(max(0, left_us), self.nodes) if ends else NEVER_US

    def saving(self, otherwise_us: int) -> tuple[int, bool]:
        """How long it stays, and whether it has saved then: as at its next notice there; at
        others, as at its last."""
        if not self.saves:
            return otherwise_us, True
        span_us, is_saved = self.saves[0]
        if len(self.saves) > 1:
            self.saves.pop(0)
        return (span_us, True) if is_saved else (NEVER_US, False)


def runner_of(programs: Programs, there: str | None, life: int, *, least_nodes: int) -> Runner:
    """That of a life, counted from 0, of a workload of the journal; `least_nodes`: of an elastic
    one."""
    lives = programs.by_workload.get(there or "", [])
    program = lives[min(life, len(lives) - 1)] if lives else None
    if program is None or not program.has_run:
        length_us = (programs.length_us or ASSUMED_US) * max(1, least_nodes)
        starting = Program(least_nodes=least_nodes, starting_us=[], fails_us=[], saves=[])
        return Runner(program=starting, length_us=length_us, fails_us=[], saves=[])
    return Runner(
        program=program,
        length_us=program.length_us,
        fails_us=list(program.fails_us),
        saves=list(program.saves),
    )
