"""The auditor finds where those that a moved bid pushes out are forgotten."""

from collections.abc import Callable

import pytest

from parkade.core.clearing.arrivals import Arrivals
from parkade.core.clearing.debts import Debts
from parkade.core.state import commands
from parkade.core.state.codec import encode_event
from parkade.core.workloads.moves import ForClaim
from tests.auditor import Discrepancy, audit
from tests.core.kernel.evictions import Evicted, evict
from tests.core.kernel.story import Parkade
from tests.core.kernel.sweeps import Swept, sweep
from tests.core.kernel.test_pushed_out import FOUND
from tests.core.kernel.test_swept_by_floors import FOUND as SWEPT

Patch = pytest.MonkeyPatch


def forgets_moves_by_the_own_org(patch: Patch) -> None:
    """What its own org moves had no choice either."""
    patch.setattr(Arrivals, "_is_moved_by_own", lambda *_: False)


def forgets_what_made_others_move(patch: Patch) -> None:
    """What a bid of another org pushes out, because it is moved, counts for none."""
    patch.setattr(Debts, "_pushed_out", lambda *_: {})


def forgets_what_floors_push_out(patch: Patch) -> None:
    """Work that leaves for a winner that sits elsewhere counts for none."""
    patch.setattr(Debts, "_add_swept", lambda *_: None)


def discrepancies(
    seeds: tuple[int, ...], make: Callable[[int], Evicted | Swept | None] = evict
) -> list[str]:
    found = []
    for seed in seeds:
        made = make(seed)
        assert made is not None
        try:
            audit(encode_event(event) for event in made.journal)
        except Discrepancy as wrong:
            found.append(str(wrong))
    return found


def test_without_a_fault_every_market_adds_up() -> None:
    assert discrepancies(FOUND) == []
    assert discrepancies(SWEPT, sweep) == []


def test_forgetting_what_floors_push_out_is_found(monkeypatch: Patch) -> None:
    forgets_what_floors_push_out(monkeypatch)
    found = discrepancies(SWEPT, sweep)
    assert found and all("none owes" in says for says in found), found


@pytest.mark.parametrize("plant", [forgets_moves_by_the_own_org, forgets_what_made_others_move])
def test_forgetting_those_that_movers_push_out_is_found(
    plant: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    found = discrepancies(FOUND)
    assert found and all("owes" in says for says in found), found


def test_what_a_broken_node_moves_by_way_of_a_claim_of_its_own_org_owes_nothing() -> None:
    """The claim's node fails, it takes the one on which a bid of its org runs, and that bid takes
    another org's: a node broke, and no org caused it."""
    parkade = Parkade(fabrics={"a": 2, "b": 2}, buffer_nodes=0, public_floor_micros=0)
    parkade.lend(reservation := parkade.reserve("bee", 1, hours=1000), 0)
    claim = parkade.claim(reservation, 1)
    mover = parkade.bid("bee", 9)
    parkade.run(60)
    guest = parkade.bid("guest", 3, nodes=2)
    parkade.run(60)
    (held,) = parkade.world.records.claims[claim].seats
    assert parkade.nodes_of(mover)[0][0] == held.node[0] != parkade.nodes_of(guest)[0][0]
    parkade.do(commands.FailNode(by=None, node=held.node, reason="x"))
    assert parkade.workload(mover).moved == ForClaim(claim=claim, org="bee")
    assert parkade.stop(guest).cause == "outbid"
    promise = parkade.workload(mover).promise
    assert promise is not None and not promise.displaces
    audit(encode_event(event) for event in parkade.journal)
