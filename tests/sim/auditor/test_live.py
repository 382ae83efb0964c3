"""The audit of ranks finds what is wrong of what they cost, owe and are told."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from parkade.core.state import commands
from parkade.core.state.codec import encode_event
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.spec import Resize
from parkade.sim.auditor import Discrepancy, audit
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live import given_parkade, live
from tests.core.kernel.test_live_debts import given_one_that_owes
from tests.core.kernel.test_live_starts import LIMIT_S, given_one_that_joins, silent

Record = dict[str, Any]


def journal(parkade: Parkade) -> list[Record]:
    return [json.loads(encode_event(it)) for it in parkade.journal]


def audited(events: list[Record]) -> None:
    audit(json.dumps(it).encode() for it in events)


def changed(events: list[Record], change: Callable[[Record], None]) -> int:
    """Each rank of each change, changed; how many there are."""
    ranks = [rank for it in events if it["type"] == "RanksChanged" for rank in it["ranks"]]
    for rank in ranks:
        change(rank)
    return len(ranks)


def taken_by_its_own_org() -> list[Record]:
    parkade, name = given_one_that_owes(reserved=3)
    parkade.tick(30)
    parkade.claim(next(iter(parkade.world.records.reservations)), 3)
    parkade.clear()
    parkade.tick(10)
    parkade.ended(name, code=85)
    return journal(parkade)


def lowered() -> list[Record]:
    parkade, name = given_one_that_owes()
    parkade.tick(30)
    parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=8 * MICROS))
    parkade.tick(10)
    parkade.ended(name, code=0)
    return journal(parkade)


def ended() -> list[Record]:
    parkade, name = given_one_that_owes()
    parkade.tick(45)
    parkade.ended(name, code=0)
    return journal(parkade)


def begun_late() -> list[Record]:
    parkade, name = given_one_that_joins()
    parkade.tick(40)
    parkade.begun(name, 3)
    parkade.tick(60)
    parkade.ended(name)
    return journal(parkade)


def never_begun() -> list[Record]:
    parkade, name = given_one_that_joins()
    parkade.tick(LIMIT_S)
    parkade.ranks_left(name, begun=())
    parkade.tick(60)
    parkade.ended(name)
    return journal(parkade)


@pytest.mark.parametrize("story", [taken_by_its_own_org, lowered, ended])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_micro_unit_too_much_or_too_little_of_a_ranks_debt_is_found(
    story: Callable[[], list[Record]], more: int
) -> None:
    events = story()
    charges = [it for it in events if it["type"] == "WithdrawalCharged" and it["workload"] == "w3"]
    (charge,) = charges
    for transfer in charge["transfers"]:
        if transfer["kind"] == "minimum_charge":
            assert transfer["micros"] > 1000
            transfer["micros"] += more
    if more == 0:
        audited(events)
        return
    with pytest.raises(Discrepancy):
        audited(events)


@pytest.mark.parametrize("story", [taken_by_its_own_org, lowered, ended])
def test_a_rank_that_pays_nothing_of_what_it_owes_is_found(
    story: Callable[[], list[Record]],
) -> None:
    events = [
        it for it in story() if not (it["type"] == "WithdrawalCharged" and it["workload"] == "w3")
    ]
    with pytest.raises(Discrepancy, match="unpaid"):
        audited(events)


def test_a_rank_that_is_said_to_have_begun_earlier_or_later_costs_otherwise() -> None:
    audited(begun_late())
    for moves_us in (-1_000_000, 1_000_000):
        events = begun_late()
        for it in events:
            begins = it["type"] == "RanksChanged" and it["resizes"] == 2
            if begins:
                it["at_us"] += moves_us
        with pytest.raises(Discrepancy):
            audited(events)


def test_a_rank_that_leaves_as_not_begun_had_the_time_for_it() -> None:
    audited(never_begun())
    events = never_begun()
    for it in events:
        if it["type"] == "RanksChanged" and any(each["leaving"] for each in it["ranks"]):
            it["at_us"] -= 1
    with pytest.raises(Discrepancy, match="before its time"):
        audited(events)

    def begin(rank: Record) -> None:
        if rank["start"] is not None:
            rank["start"]["begun_us"] = rank["joined_us"]

    events = never_begun()
    assert changed(events, begin)
    with pytest.raises(Discrepancy):
        audited(events)


def test_ranks_that_nothing_promised_or_told_are_found() -> None:
    events = begun_late()
    for it in events:
        if it["type"] == "RanksChanged" and it.get("rate") is not None:
            it["rate"] = None
    with pytest.raises(Discrepancy, match="not promised"):
        audited(events)
    events = begun_late()
    for it in events:
        if it["type"] == "RanksChanged" and it.get("rate") is None:
            it["ranks"] = it["ranks"][:-1]
    with pytest.raises(Discrepancy, match="untold"):
        audited(events)
    events = never_begun()
    changed(events, lambda rank: rank.update(rank=rank["rank"] + 1))
    with pytest.raises(Discrepancy):
        audited(events)


def test_a_bid_that_outbids_a_single_rank_owes_for_its_node() -> None:
    parkade = given_parkade()
    name = live(parkade)
    parkade.run(60)
    parkade.bid("acme", 9, nodes=2)
    parkade.clear()
    audited(journal(parkade))
    events = journal(parkade)
    for it in events:
        for won in it.get("won", ()) if it["type"] == "Cleared" else ():
            if won["demand"].get("workload") != name:
                won["promise"] |= {"displaces": False, "debt": None}
    with pytest.raises(Discrepancy, match=f"made {name} leave a3 and owes nothing"):
        audited(events)


def test_what_a_rank_may_have_used_unheard_is_not_spent_on_other_seats() -> None:
    """A rank ran for eleven minutes at 1 per GPU-hour, and another may have for ten: 0.70."""
    parkade = given_parkade(3, start_limit_us=3600 * SECOND_US)
    for node in ("a2", "a3"):
        parkade.do(commands.CordonNode(by=None, node=node, reason="test"))
    name = parkade.bid("lab", 5, nodes=1, most_nodes=2, resize=Resize.LIVE)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    parkade.do(commands.UncordonNode(by=None, node="a2"))
    parkade.clear()
    silent(parkade, name, 600)
    parkade.bid("lab", 5, nodes=1)
    parkade.do(commands.UncordonNode(by=None, node="a3"))
    parkade.clear()
    audited(journal(parkade))
    for micros in (700_000, 699_999):
        events = journal(parkade)
        for it in events:
            for transfer in it.get("transfers", ()):
                if transfer["credit"] == "org/lab":
                    transfer["micros"] = micros
        if micros == 700_000:
            audited(events)
        else:
            with pytest.raises(Discrepancy, match="its ranks may have used 700000"):
                audited(events)
