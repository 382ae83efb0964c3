"""The lot: what it says of a world, made anew or from what changed, whole or as an org sees it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from parkade.api.views.lot import Lots, lent_gpus, snapshot
from parkade.api.views.org_lots import OrgLots, seen_by
from parkade.console.changes import NOTHING, change
from parkade.core.kernel.evolve import evolve
from parkade.core.ledger.accounts import lending_account
from parkade.core.state.codec import decode_event
from parkade.core.state.world import Records, World
from parkade.core.units.fraction import Fraction
from parkade.core.workloads.workload import Rate
from parkade.wire.lot import Lot
from tests import builders
from tests.api.town import Town
from tests.core.state.test_kept_journal import KEPT, Kept
from tests.waits import until

JOURNALS = sorted(path.name for path in KEPT.glob("journal-v2*.json"))


def _lot(town: Town, token: str | None = None) -> Lot:
    return Lot.model_validate(town.done(town.get("/lot", token)))


def test_the_lot_says_who_sits_where_and_what_it_pays(fresh: Town) -> None:
    pool = fresh.pool()
    org, owner = fresh.org()
    workload = fresh.submit(pool, owner, name="train", nodes=2, gpus=2, limit_price="5")
    attempt = fresh.wait_for_attempt(pool, workload)
    fresh.observe(pool, fresh.running(attempt))
    lot = _lot(fresh)
    (holder,) = lot.holders
    assert (holder.holder, holder.org, holder.use, holder.gpus) == (workload, org, "spot", 4)
    assert holder.phase == "running" and holder.price == 1 and holder.limit_price == 5
    seated = [node for node in lot.nodes if node.seats]
    assert [(seat.holder, seat.gpus) for node in seated for seat in node.seats] == [
        (workload, 2),
        (workload, 2),
    ]
    assert lot.sums is not None and lot.promises is not None
    assert (lot.sums.gpus, lot.sums.spot, lot.sums.idle, lot.sums.out) == (16, 4, 12, 0)
    assert lot.promises.books_are_balanced


def test_a_node_says_why_it_is_closed_or_out(fresh: Town) -> None:
    fresh.pool()
    fresh.done(fresh.post("/nodes/lab-1/cordon", {"reason": "a cable"}))
    fresh.done(fresh.post("/nodes/lab-2/fail", {"reason": "Xid 79"}))
    states = {node.node: (node.state, node.says) for node in _lot(fresh).nodes}
    assert states["lab-1"][0] == "closed" and "cordoned by operator: a cable" in states["lab-1"][1]
    assert states["lab-2"] == ("out", "failed: Xid 79")


def test_an_org_sees_the_nodes_and_its_own_work_alone(fresh: Town) -> None:
    pool = fresh.pool()
    _, ours = fresh.org()
    org, theirs = fresh.org()
    for token in (ours, theirs):
        fresh.wait_for_attempt(pool, fresh.submit(pool, token, nodes=2, gpus=2, limit_price="5"))
    lot = _lot(fresh, theirs)
    assert len(lot.nodes) == 8 and lot.sums is None and lot.promises is None
    assert {each.org for each in lot.holders} == {org}
    own = {each.holder for each in lot.holders}
    assert {seat.holder for node in lot.nodes for seat in node.seats} == own
    assert all(node.state is None and node.says == "" for node in lot.nodes)
    assert all(each.lent is None for each in lot.holders)
    assert all(each.buffer is None for each in lot.fabrics)


def worlds(path: Path) -> Iterator[World]:
    """The world of a kept journal after each of its events."""
    kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    world = World(Records())
    for raw in kept.events:
        evolve(world, decode_event(bytes(raw), kept.version))
        yield world


@pytest.mark.parametrize("name", JOURNALS)
def test_a_lot_made_of_changes_is_the_lot_made_anew(name: str) -> None:
    lots, org = Lots(), OrgLots("acme")
    for world in worlds(KEPT / name):
        taken = snapshot(world, world.records.now_us)
        lot, anew = lots.take(taken), Lots().take(taken)
        assert lot == anew
        assert org.take(lot, lots.names) == seen_by(anew, "acme")


@pytest.mark.parametrize("name", JOURNALS)
def test_the_sums_are_of_all_gpus_and_no_guest_has_more_lent_than_it_holds(name: str) -> None:
    for world in worlds(KEPT / name):
        lot = Lots().take(snapshot(world, world.records.now_us))
        sums = lot.sums
        assert sums is not None
        used = sums.owner + sums.lent + sums.spot + sums.on_demand
        assert sums.gpus == used + sums.idle + sums.out == sum(it.gpus for it in lot.nodes)
        assert all(0 <= (each.lent or 0) <= each.gpus for each in lot.holders)
        assert lot.promises is not None and lot.promises.books_are_balanced


def test_what_lenders_earn_of_a_price_is_counted_in_gpus() -> None:
    terms = builders.terms(fee=Fraction(numerator=2, denominator=7))
    market = builders.market("m", terms=terms)
    lender = lending_account("acme", "acme")

    def lent(**shares: int) -> int:
        rate = Rate(from_us=0, price_micros=7_000_000, shares=tuple(shares.items()))
        return lent_gpus(rate, 4, market, frozenset({lender}))

    assert lent(**{lender: 20_000_000, "operator": 8_000_000}) == 4
    assert lent(**{lender: 10_000_000, "operator": 18_000_000}) == 2
    assert lent(operator=28_000_000) == 0


def test_a_change_tells_what_differs_and_nothing_else(fresh: Town) -> None:
    fresh.pool()
    before = _lot(fresh)
    fresh.done(fresh.post("/nodes/lab-3/cordon", {"reason": "a cable"}))
    told = change(before, _lot(fresh))
    assert told is not None
    assert [each["n"] for each in told["nodes"]] == ["lab-3"]
    assert (told["whole"], told["holders"], told["gone"], told["fabrics"]) == (False, [], [], [])
    assert change(before, before) is None
    whole = change(NOTHING, before)
    assert whole is not None and whole["whole"] and len(whole["nodes"]) == 8


def test_an_operator_sees_how_many_nodes_of_a_fabric_owners_lend_and_keep(fresh: Town) -> None:
    fresh.pool()
    _, owner = fresh.org()
    fresh.done(fresh.post("/reservations", {"nodes": 4, "name": "right"}, owner))

    def lent(token: str | None = None) -> list[tuple[int | None, int | None]]:
        return [(each.lent, each.kept) for each in _lot(fresh, token).fabrics]

    assert lent() == [(0, 4)]
    fresh.done(fresh.post("/reservations/right/lend", {"floor": "2", "keep": 1}, owner))
    assert lent() == [(3, 1)]
    fresh.done(fresh.post("/reservations/right/claims", {"nodes": 2}, owner))
    until(lambda: lent() == [(1, 1)])
    assert lent(owner) == [(None, None)]
