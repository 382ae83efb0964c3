"""An array as a swarm of bids under one name: what would be gained by it is charged, or bounded."""

from parkade.core.state import commands, events
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from parkade.core.workloads.observed import EnginePhase
from tests import builders
from tests.core.kernel.story import Parkade


def town() -> Parkade:
    parkade = Parkade(fabrics={"a": 4}, buffer_nodes=0, start_limit_us=3_600_000_000)
    parkade.org("lab")
    return parkade


def cancel(parkade: Parkade, array: str) -> tuple[events.AnyEvent, ...]:
    return parkade.do(commands.Cancel(by=None, workload=array, now=True))


def test_each_member_for_which_others_left_pays_the_minimum_when_the_array_is_cancelled() -> None:
    parkade = town()
    for number in range(3):
        parkade.bid(f"guest{number}", 9)
    parkade.run(60)
    array = parkade.bid("lab", 20, array="0-3")
    parkade.clear()
    made = cancel(parkade, array)
    charged = [it for it in made if isinstance(it, events.WithdrawalCharged)]
    assert len(charged) == 3
    assert len({it.workload for it in charged}) == 3
    amounts = {sum(t.micros for t in it.transfers if t.debit == "org/lab") for it in charged}
    assert len(amounts) == 1 and amounts.pop() > 0
    assert parkade.replayed()


def test_members_that_hold_seats_before_a_first_process_share_their_org_s_one_free_time() -> None:
    """All pay for the start grace, and all but one for what is beyond."""
    parkade = town()
    for expected in (3, 4):
        array = parkade.bid("lab", 9, array="0-3%4")
        parkade.clear()
        parkade.tick(600)
        cancel(parkade, array)
        parkade.tick(60)
        before = len(parkade.journal)
        for name in list(parkade.world.members.of(array).names):
            unstarted(parkade, name)
        posted = [it for it in parkade.journal[before:] if isinstance(it, events.UsePosted)]
        lengths = [_length_us(it) for it in posted]
        assert len(posted) == 4
        assert sum(it > 120 * SECOND_US for it in lengths) == expected
        assert parkade.phase(array) is Phase.CANCELLED


def _length_us(event: events.UsePosted) -> int:
    """How long what an event charges is in all."""
    uses = [it.use for it in event.transfers if it.kind.is_paid_by_user]
    return sum(it.end_us - it.start_us for it in uses if it is not None)


def unstarted(parkade: Parkade, name: str) -> None:
    attempt = parkade.attempt(name)
    seen = builders.observed(
        attempt.attempt,
        generation=attempt.generation,
        phase=EnginePhase.RELEASED,
        started_us=None,
        released_us=parkade.now_us,
        exits=(),
        engine_state="released",
    )
    parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,)))


def test_members_count_for_their_org_where_orgs_take_turns() -> None:
    parkade = town()
    array = parkade.bid("lab", 9, array="0-9")
    other = [parkade.bid("acme", 9) for _ in range(2)]
    parkade.clear()
    seated = [name for name in other if parkade.workload(name).attempt is not None]
    assert seated == other
    assert parkade.world.members.of(array).seated == 2
