"""Markets that bids link, cleared apart while they fail together: nothing is lost by it."""

from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Cause
from tests.core.clearing.test_linking import cleared, one_node_each
from tests.core.clearing.two_markets import TwoMarkets


def clear_apart(parkade: TwoMarkets, market: str) -> None:
    parkade._do(commands.RunClearing(by=None, market=market, is_apart=True))
    parkade.tick()


def test_a_bid_that_waits_gets_the_seats_of_the_market_that_clears() -> None:
    parkade = one_node_each()
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    clear_apart(parkade, "other")
    assert parkade.stands(both) == "other"
    assert cleared(parkade).is_apart and cleared(parkade).markets == ("other",)
    clear_apart(parkade, "pool")
    assert parkade.stands(both) == "other", "it is not asked where it does not stand"
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_what_stands_in_a_market_that_does_not_clear_keeps_its_seats() -> None:
    parkade = one_node_each()
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.run(60)
    rival = parkade.in_market("rival", "pool", 9)
    waits = parkade.in_market("waits", "other", 2)
    clear_apart(parkade, "other")
    assert [parkade.stands(it) for it in (both, rival, waits)] == ["pool", None, "other"]
    parkade.clear()
    assert parkade.stop(both).cause is Cause.OUTBID
    assert parkade.stands(both) == "other", "together again, it outbids there"


def test_what_loses_apart_leaves_and_is_asked_elsewhere_from_then_on() -> None:
    parkade = one_node_each(backoff_us=0)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    parkade.run(60)
    parkade.in_market("rival", "pool", 9)
    clear_apart(parkade, "pool")
    assert parkade.stop(both).cause is Cause.OUTBID and parkade.stands(both) is None
    clear_apart(parkade, "other")
    assert parkade.stands(both) == "other"
    assert parkade.workload(both).promise is not None
    parkade.run(120)
    assert parkade.price(both) == MICROS
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_markets_that_no_bid_links_are_cleared_as_ever() -> None:
    parkade = one_node_each()
    parkade.in_market("one", "pool", 5)
    command = commands.RunClearing(by=None, market="pool")
    apart = commands.RunClearing(by=None, market="pool", is_apart=True)
    made = decide(parkade.world, command, parkade.now_us)
    assert made == decide(parkade.world, apart, parkade.now_us)
    assert isinstance(made, tuple)
    assert not any(isinstance(it, events.Cleared) and it.is_apart for it in made)


def told(parkade: TwoMarkets, name: str) -> tuple[str, int | None, list[str]]:
    workload = parkade.workload(name)
    answers = [it.market for it in workload.answers]
    return str(workload.why), workload.price_to_win_micros, answers


def test_a_bid_whose_first_market_stands_still_is_told_what_the_other_says() -> None:
    parkade = one_node_each()
    parkade.in_market("rival", "pool", 9)
    clear_apart(parkade, "pool")
    both = parkade.bid_in("both", {"other": 5, "pool": 6})
    clear_apart(parkade, "pool")
    assert told(parkade, both) == ("outbid", 9_450_001, ["pool"])
    assert cleared(parkade).waiting
    before = len(parkade.journal)
    clear_apart(parkade, "pool")
    assert len(parkade.journal) == before, "an unchanged market makes no event"
    assert parkade.replayed() == encode_snapshot(parkade.world)


def test_where_both_clear_apart_the_first_market_is_told_first_and_both_answers_stay() -> None:
    parkade = one_node_each()
    parkade.in_market("first", "pool", 9)
    parkade.in_market("second", "other", 8)
    both = parkade.bid_in("both", {"pool": 5, "other": 6})
    for market in ("other", "pool"):
        clear_apart(parkade, market)
    before = 0
    for _ in range(2):
        before = len(parkade.journal)
        for market in ("other", "pool"):
            clear_apart(parkade, market)
        assert told(parkade, both) == ("outbid", 9_450_001, ["pool", "other"])
    assert len(parkade.journal) == before, "unchanged markets make no event"


def test_a_bid_without_money_is_told_so_by_the_market_that_clears() -> None:
    parkade = one_node_each()
    parkade.org("poor", deposit=0)
    both = parkade.bid_in("poor", {"other": 5, "pool": 6})
    clear_apart(parkade, "pool")
    assert told(parkade, both) == ("insufficient_funds", None, [])
    clear_apart(parkade, "other")
    before = len(parkade.journal)
    clear_apart(parkade, "pool")
    assert told(parkade, both) == ("insufficient_funds", None, [])
    assert len(parkade.journal) == before
