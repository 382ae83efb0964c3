"""Which bid set a price: told in full to operators and within its org, to others by its size."""

from typing import Any

import pytest

from parkade.api.views import events as views
from parkade.api.views.audience import Owners, Reader, look_up, named_in
from parkade.core.state import events
from tests.core.kernel.story import Parkade

READERS = {
    "operator": Reader(org="operator", is_operator=True, may_see_money=True),
    "winner": Reader(org="winner", is_operator=False, may_see_money=True),
    "loser": Reader(org="loser", is_operator=False, may_see_money=True),
    "stranger": Reader(org="stranger", is_operator=False, may_see_money=True),
}


def clearing(rival_of: str) -> tuple[events.Cleared, Owners, str, str]:
    """(a clearing in which a bid of 4 GPUs set the price of a winner, owners, winner, rival)."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0, public_floor_micros=1)
    winner = parkade.bid("winner", 9, nodes=2)
    rival = parkade.bid(rival_of, 3, nodes=2)
    parkade.clear()
    found = [it for it in parkade.journal if isinstance(it, events.Cleared)]
    cleared = next(it for it in found if any(won.price_set_by == rival for won in it.won))
    owners = Owners()
    owners.learn(look_up(parkade.world, named_in(cleared)))
    return cleared, owners, winner, rival


def told(who: str, rival_of: str) -> tuple[Any, str, str]:
    cleared, owners, winner, rival = clearing(rival_of)
    event = views.event(1, cleared, owners, READERS[who])
    assert event is not None
    return event, winner, rival


def line(event: Any, winner: str) -> Any:
    return next(it for it in event.detail["lines"] if it.get("workload") == winner)


def test_an_operator_reads_the_rival_and_its_org() -> None:
    event, winner, rival = told("operator", "loser")
    assert line(event, winner)["set_by"]["says"] == f"{rival}, loser's bid of 4 GPUs"
    assert f"set by {rival}, loser's bid of 4 GPUs" in event.says


def test_a_winner_reads_the_size_of_another_orgs_bid_and_not_its_name() -> None:
    event, winner, rival = told("winner", "loser")
    assert line(event, winner)["set_by"] == {
        "workload": None,
        "org": None,
        "says": "another org's bid of 4 GPUs",
    }
    assert "set by another org's bid of 4 GPUs" in event.says
    assert "loser" not in event.model_dump_json() and f'"{rival}"' not in event.model_dump_json()


def test_a_rival_of_the_own_org_is_named() -> None:
    event, winner, rival = told("winner", "winner")
    assert line(event, winner)["set_by"]["says"] == f"{rival}, your own bid of 4 GPUs"


@pytest.mark.parametrize("who", ["loser", "stranger"])
def test_who_did_not_win_reads_of_no_winner(who: str) -> None:
    event, winner, _ = told(who, "loser")
    assert "winner" not in event.model_dump_json()
    assert all(it.get("workload") != winner for it in event.detail["lines"])
