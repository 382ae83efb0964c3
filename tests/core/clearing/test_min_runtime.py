"""A market that lets what started run for a while: whose seats no bid takes, and until when."""

from typing import Any

from parkade.api.views.workloads import known
from parkade.core.fleet.node import Cordon
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from tests.core.kernel.story import Parkade

RUNS_S = 600


def market(**terms: Any) -> Parkade:
    given: dict[str, Any] = {
        "fabrics": {"a": 2},
        "buffer_nodes": 0,
        "turnaround_us": 0,
        "public_floor_micros": MICROS,
        "min_runtime_us": RUNS_S * SECOND_US,
    }
    return Parkade(**(given | terms))


def keeps_until_us(parkade: Parkade, name: str) -> int | None:
    limit = parkade.workload(name).spec.limit_price_micros
    return parkade.attempt(name).keeps_seats_until_us(limit, parkade.now_us)


def gang(parkade: Parkade, limit: float, org: str = "lab") -> str:
    name = parkade.bid(org, limit, nodes=2)
    parkade.clear()
    parkade.start_all()
    return name


def test_a_higher_bid_waits_until_it_ran_for_so_long_and_then_gets_its_seats() -> None:
    parkade = market()
    first = gang(parkade, 2)
    assert keeps_until_us(parkade, first) == parkade.now_us + RUNS_S * SECOND_US
    rival = parkade.bid("rich", 50, nodes=2)
    parkade.run(RUNS_S - 30)
    assert parkade.phase(first) is Phase.RUNNING and parkade.attempt(first).stop is None
    waits = parkade.workload(rival)
    assert (waits.phase, waits.why, waits.price_to_win_micros) == (Phase.QUEUED, "protected", None)
    assert parkade.price(first) == MICROS, "as it was seated, whatever a rival would pay"
    parkade.run(60, obey=False)
    assert parkade.stop(first).cause is Cause.OUTBID
    parkade.run(120)
    assert parkade.phase(rival) is Phase.RUNNING
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_what_comes_after_a_stronger_bid_that_waits_is_not_protected_from_it() -> None:
    """Else two jobs after another could hold the room of a gang for ever, at the floor."""
    parkade = market()
    early = parkade.bid("lab", 1)
    parkade.clear()
    parkade.start_all()
    parkade.run(RUNS_S // 2)
    waits = parkade.bid("rich", 50, nodes=2)
    late = parkade.bid("lab", 1)
    parkade.clear()
    parkade.start_all()
    assert parkade.workload(waits).why == "protected"
    assert keeps_until_us(parkade, early) is not None
    assert parkade.phase(late) is Phase.RUNNING and keeps_until_us(parkade, late) is None
    parkade.run(RUNS_S // 2 + 60, obey=False)
    assert {parkade.stop(it).cause for it in (early, late)} == {Cause.OUTBID}
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_a_weaker_bid_that_waits_takes_no_protection_away() -> None:
    parkade = market()
    gang(parkade, 9)
    parkade.bid("rich", 2, nodes=2)
    stronger = parkade.bid("lab", 50)
    parkade.run(RUNS_S + 60)
    parkade.start_all()
    assert parkade.phase(stronger) is Phase.RUNNING
    assert keeps_until_us(parkade, stronger) is not None


def test_what_only_starts_is_not_protected() -> None:
    parkade = market()
    first = parkade.bid("lab", 2, nodes=2)
    parkade.clear()
    assert keeps_until_us(parkade, first) is None
    parkade.bid("rich", 50, nodes=2)
    parkade.clear()
    assert parkade.stop(first).cause is Cause.OUTBID


def test_a_new_attempt_is_protected_anew_at_the_price_of_its_own_launch() -> None:
    parkade = market(backoff_us=0)
    rival = parkade.bid("rich", 3, nodes=2)
    first = gang(parkade, 5)
    assert parkade.price(first) == 3 * MICROS
    higher = parkade.bid("rich", 50, nodes=2)
    parkade.run(RUNS_S + 120)
    assert parkade.phase(higher) is Phase.RUNNING
    for name in (rival, higher):
        parkade.do(commands.Cancel(by=None, workload=name, now=True))
    parkade.run(120)
    parkade.start_all()
    attempt = parkade.attempt(first)
    assert attempt.generation == 2 and attempt.admission is not None
    assert attempt.admission.price_micros == MICROS and attempt.started_us is not None
    assert keeps_until_us(parkade, first) == attempt.started_us + RUNS_S * SECOND_US


def test_a_limit_that_is_raised_again_and_a_node_that_opens_again_bring_it_back() -> None:
    parkade = market()
    rival = parkade.bid("rich", 3, nodes=2)
    first = gang(parkade, 5)
    parkade.do(commands.Cancel(by=None, workload=rival, now=True))
    for limit in (2, 5):
        change = commands.ChangeBid(by=None, workload=first, limit_price_micros=limit * MICROS)
        parkade.do(change)
        parkade.clear()
    node = parkade.nodes_of(first)[0]
    cordon = Cordon(holder="operator", reason="fan", at_us=parkade.now_us)
    parkade.happen((events.NodeCordoned(at_us=parkade.now_us, node=node, cordon=cordon),))
    parkade.clear()
    opened = events.NodeUncordoned(at_us=parkade.now_us, node=node, holder="operator")
    parkade.happen((opened,))
    parkade.bid("rich", 50, nodes=2)
    parkade.clear()
    assert parkade.phase(first) is Phase.RUNNING and parkade.attempt(first).stop is None


def test_an_owner_gets_its_nodes_as_ever() -> None:
    parkade = market()
    parkade.org("acme")
    parkade.reserve("acme", 1, hours=10)
    parkade.lend("acme", 1)
    first = gang(parkade, 2)
    claim = parkade.claim("acme", 1)
    parkade.bid("rich", 50)
    parkade.run(5, obey=False)
    assert parkade.stop(first).cause is Cause.RECLAIMED, "though a higher bid takes the other node"
    parkade.run(60)
    assert parkade.world.records.claims[claim].held


def test_a_limit_below_the_price_that_it_was_seated_with_gives_its_seats_up() -> None:
    parkade = market()
    rival = parkade.bid("rich", 3, nodes=2)
    first = gang(parkade, 5)
    assert parkade.phase(first) is Phase.RUNNING
    assert parkade.price(first) == 3 * MICROS
    for limit, phase in ((3, Phase.RUNNING), (2.5, Phase.PREEMPTING)):
        parkade.do(
            commands.ChangeBid(by=None, workload=first, limit_price_micros=round(limit * MICROS))
        )
        parkade.run(60, obey=False)
        assert parkade.phase(first) is phase, limit
    assert parkade.stop(first).cause is Cause.OUTBID and parkade.workload(rival).promise


def test_a_price_that_falls_is_followed_and_one_that_rises_is_not() -> None:
    parkade = market()
    rival = parkade.bid("rich", 3, nodes=2)
    first = gang(parkade, 5)
    assert parkade.price(first) == 3 * MICROS
    parkade.do(commands.Cancel(by=None, workload=rival, now=True))
    parkade.clear()
    assert parkade.price(first) == MICROS
    parkade.bid("rich", 4.2, nodes=2)
    parkade.clear()
    assert parkade.price(first) == 3 * MICROS


def test_a_closed_node_ends_it_for_the_gang_and_a_change_of_the_term_does_not() -> None:
    parkade = market()
    first = gang(parkade, 2)
    change = commands.TermsChange(min_runtime_us=30 * SECOND_US)
    parkade.do(commands.ChangeTerms(by=None, market="pool", change=change, from_us=None))
    parkade.bid("rich", 50, nodes=1)
    parkade.run(120)
    assert parkade.phase(first) is Phase.RUNNING
    node = parkade.nodes_of(first)[0]
    cordon = Cordon(holder="operator", reason="fan", at_us=parkade.now_us)
    parkade.happen((events.NodeCordoned(at_us=parkade.now_us, node=node, cordon=cordon),))
    parkade.tick()
    parkade.clear()
    assert parkade.stop(first).cause is Cause.OUTBID


def test_what_is_shown_of_it_is_none_while_a_node_is_closed() -> None:
    parkade = market()
    first = gang(parkade, 2)

    def shown_us() -> int | None:
        return known(parkade.world, parkade.workload(first), parkade.now_us).protected_until_us

    assert shown_us() == parkade.now_us + RUNS_S * SECOND_US
    cordon = Cordon(holder="operator", reason="fan", at_us=parkade.now_us)
    node = parkade.nodes_of(first)[0]
    parkade.happen((events.NodeCordoned(at_us=parkade.now_us, node=node, cordon=cordon),))
    assert shown_us() is None
