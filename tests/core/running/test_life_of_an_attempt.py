"""The worked example of `core/running`: one node, a guest that is outbid, a node that fails."""

from parkade.core.fleet.node import Health
from parkade.core.kernel.check import check
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.ledger.accounts import TransferKind
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.observed import Checkpoint, EnginePhase, RankExit
from tests import builders
from tests.core import records

S = SECOND_US


class Example:
    """The world of the example; each step is checked as the cycle does it."""

    def __init__(self) -> None:
        terms = builders.terms(turnaround_us=20 * S)
        spec = builders.spec(gpus=4, limit_price_micros=2 * MICROS)
        paid = records.rate(MICROS, operator=4 * MICROS)
        running = records.attempt(seats=records.seats(a1=4), rates=(paid,))
        waiting = builders.spec(gpus=4, limit_price_micros=5 * MICROS)
        self.world: World = records.world(
            records.workload("w1", spec=spec, attempt=running),
            records.workload("w2", org="acme", user="bob", spec=waiting),
            nodes=[records.node("a1", last_org="lab")],
            markets=[builders.market("market", terms=terms)],
            balances={"org/lab": 10**9, "org/acme": 10**9},
        )
        self.happened: list[events.AnyEvent] = []

    def do(self, second: int, command: commands.AnyCommand) -> None:
        """Deadlines up to the instant in order of their time, then the command."""
        while (due_us := next_deadline_us(self.world)) is not None and due_us <= second * S:
            self._take_in(take_deadline(self.world))
        outcome = decide(self.world, command, second * S)
        assert not isinstance(outcome, Refusal), outcome
        self._take_in(outcome)

    def clear(self, second: int) -> None:
        self.do(second, commands.RunClearing(by=None, market="market"))

    def report(
        self,
        second: int,
        attempt: str,
        *,
        phase: EnginePhase = EnginePhase.RUNNING,
        code: int | None = None,
        saved: bool = False,
    ) -> None:
        """One attempt as its agent sees it at that second."""
        is_over = phase is EnginePhase.RELEASED
        seen = builders.observed(
            attempt,
            phase=phase,
            started_us=second * S,
            released_us=second * S if is_over else None,
            exits=(RankExit(rank=0, code=code, signal=None),) if is_over else (),
            checkpoint=Checkpoint(step=1, at_us=second * S) if saved else None,
        )
        self.do(second, commands.ReportAttempts(by=None, pool="pool", attempts=(seen,)))

    def phase(self, name: str) -> Phase:
        return self.world.records.workloads[name].phase

    def _take_in(self, made: tuple[events.AnyEvent, ...]) -> None:
        for event in made:
            evolve(self.world, event)
            check(self.world)
        self.happened += made


def test_the_worked_example_of_the_theory_of_operation() -> None:
    it = Example()
    records_of = it.world.records.workloads
    it.clear(1000)
    leaving = records_of["w1"].attempt
    assert leaving is not None and leaving.stop is not None
    assert leaving.stop.deadline_us == 1030 * S and leaving.stop.kill_us == 1035 * S
    assert (it.phase("w1"), it.phase("w2")) == (Phase.PREEMPTING, Phase.PLACED)

    it.report(1012, "w1.1", phase=EnginePhase.RELEASED, code=85)
    first = records_of["w1"]
    assert (first.phase, first.preemptions, first.failures) == (Phase.QUEUED, 1, 0)
    assert next_deadline_us(it.world) == 1032 * S

    it.report(1034, "w2.1")
    launched = next(event for event in it.happened if isinstance(event, events.Launched))
    assert launched.at_us == 1032 * S and launched.attempt.generation == 1
    second = records_of["w2"].attempt
    assert second is not None and second.started_us == 1034 * S
    assert it.phase("w2") is Phase.RUNNING

    it.report(1100, "w2.1", saved=True)
    it.do(1200, commands.FailNode(by=None, node="a1", reason="fan"))
    assert it.phase("w2") is Phase.DEGRADED
    it.clear(1200)
    healing = records_of["w2"].attempt
    assert healing is not None and healing.stop is not None
    assert (healing.stop.cause, healing.stop.deadline_us) == (Cause.HEALED, 1210 * S)
    assert it.phase("w2") is Phase.HEALING

    it.report(1205, "w2.1", phase=EnginePhase.RELEASED)
    after = records_of["w2"]
    assert (after.phase, after.failures) == (Phase.QUEUED, 0)
    assert it.world.records.nodes["a1"].health is Health.FAILED
    (charge,) = [
        transfer
        for event in it.happened
        if isinstance(event, events.UsePosted) and event.workload == "w2"
        for transfer in event.transfers
        if transfer.kind is TransferKind.USAGE
    ]
    assert charge.use is not None and charge.use.price_micros == 2_100_000
    assert (charge.use.start_us, charge.use.end_us) == (1034 * S, 1100 * S)
    assert charge.micros == 154_000
