"""Work with a list of capacity moves up in a market that bids of others link with another one."""

from parkade.core.clearing.linking import linked_with
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Phase
from tests.core.clearing.test_entries import SPOT, asks, right, submit
from tests.core.clearing.two_markets import TwoMarkets


def beside_own() -> tuple[TwoMarkets, str, str]:
    """(markets, own work on the node that acme reserved and lends below the public floor, a list
    that runs as spot beside it)."""
    parkade = TwoMarkets(
        here={"a": 1, "b": 1}, there={"c": 1}, buffer_nodes=0, public_floor_micros=3 * MICROS
    )
    parkade.org("acme")
    parkade.do(
        commands.Reserve(
            by=None, org="acme", market="pool", name=None, nodes=1, start_us=None, end_us=None
        )
    )
    own = parkade.on_reservation("acme", "acme")
    name = submit(parkade, right("acme"), SPOT, limit=5)
    parkade.run(60)
    parkade.lend("acme", 1)
    assert asks(parkade, name) == "spot" and parkade.phase(name) is Phase.RUNNING
    return parkade, own, name


def cancel(parkade: TwoMarkets, name: str) -> None:
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    parkade.tick()


def test_it_moves_up_on_its_seats_beside_a_bid_with_both_markets() -> None:
    parkade, own, name = beside_own()
    both = parkade.bid_in("cedar", {"pool": 4, "other": 4})
    assert linked_with(parkade.world, "pool") == ("other", "pool")
    cancel(parkade, own)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme" and parkade.price(name) == 0
    assert parkade.attempt(name).generation == 1 and parkade.attempt(name).stop is None
    assert parkade.phase(both) is Phase.RUNNING


def test_it_sends_no_bid_to_a_later_wish_of_its_list() -> None:
    parkade, own, name = beside_own()
    cancel(parkade, own)
    both = parkade.bid_in("cedar", {"pool": 2, "other": 5})
    parkade.clear()
    assert parkade.stands(both) == "pool", "the node is lent below the public floor"
    assert asks(parkade, name) == "spot"
    parkade.run(3600)
    assert parkade.stands(both) == "pool" and parkade.attempt(both).generation == 1
    assert asks(parkade, name) == "spot" and parkade.price(name) == 3 * MICROS
    cancel(parkade, both)
    parkade.run(60)
    assert asks(parkade, name) == "reservation/acme" and parkade.price(name) == 0
