"""Which sizes an elastic workload may have in a clearing, and how many nodes its money reaches for.

Theory of operation
-------------------
A workload that asks for 2 to 16 nodes is started again where their number changes, so it

- shrinks in any clearing in which no fabric holds what it has at its limit;
- grows only once it has run for `regrow` (a term of the market), and then only by as many nodes as
  outweigh a restart. A restart is counted as the market's `start_grace` without work on the nodes
  it had; the new nodes must make up for that within one more `regrow`, before which it does not
  grow again:

      (more - nodes) x regrow > nodes x start_grace

- keeps its number while it is promised seats that it has not started on. Where one of these leaves
  play it may take another one beside the rest: nothing is restarted for that.
- keeps its number while one of its nodes is closed: nothing is started on a closed node. If it then
  loses it bids in the next clearing for what there is.

With `resize: live` it grows at once, by as many nodes of its fabric as are free now and it may have
(`joining`). Where that is none, it grows as above, by a restart: a promise that waits for others to
leave is never beside what runs.
After a rank that joined did not begin it does not grow for a while (`running.unbegun`).

Money bounds its size before the market does: it takes part with as many nodes as its org can set
the earmark aside for. What all bids of an org have now comes first, growth after it.

Example: regrow 10 min, start_grace 2 min. On 4 nodes it grows by 1 or more (10 > 8), on 5 nodes by
2 or more (10 is not more than 10), on 16 by 4 or more (40 > 32).

Decision records 89 and 217.
"""

from bisect import bisect_right

from msgspec.structs import replace

from parkade.core.billing.commitments import earmark_micros
from parkade.core.fleet.market import Market, MarketTerms
from parkade.core.fleet.seat import Seat
from parkade.core.market.market_state import Demand
from parkade.core.running.promises import is_free_now
from parkade.core.state.world import World
from parkade.core.workloads.workload import Workload


def sizes_now(
    world: World,
    workload: Workload,
    seats: tuple[Seat, ...],
    open_nodes: dict[str, bool],
    now_us: int,
    joins: int | None = None,
) -> tuple[int, int, int]:
    """(least nodes, most nodes, by how many at least it grows) of its demand with these seats.

    Most 0: it has one size. Grows by 0: it does not grow where it stands. `joins`: how many ranks
    join a live one at most; None: as many as there are nodes. Cost: of a live attempt as its
    market's nodes, else as its seats.
    """
    spec, market = workload.spec, world.records.markets[workload.market]
    if not spec.is_elastic:
        return spec.nodes, 0, 0
    if any(open_nodes.get(seat.node) is False for seat in seats):
        return len(seats), 0, 0
    attempt = workload.attempt
    grows_by = 0
    if workload.promise is not None:
        grows_by = 1 if len(seats) < len(workload.promise.seats) else 0
    elif attempt is not None and now_us < attempt.grows_from_us:
        pass
    elif workload.changes_live and (
        free := _free_beside(world, workload, open_nodes, now_us, joins)
    ):
        return spec.nodes, max(spec.nodes, min(spec.most_nodes, len(seats) + free)), 1
    elif attempt is not None and attempt.stop is None:
        grows_by = _grows_by(market.terms, len(seats), attempt.started_us, now_us)
    return spec.nodes, spec.most_nodes, grows_by


def _free_beside(
    world: World,
    workload: Workload,
    open_nodes: dict[str, bool],
    now_us: int,
    joins: int | None,
) -> int:
    """How many nodes of its fabric are free for a live attempt now; it may not have all of them."""
    if joins == 0:
        return 0
    attempt = workload.attempt
    assert attempt is not None
    gpus, fabric = attempt.seats[0].gpus, world.records.nodes[attempt.seats[0].node].fabric
    own = {seat.node for seat in attempt.seats}
    free = sum(
        node not in own
        and is_open
        and world.records.nodes[node].fabric == fabric
        and is_free_now(world, workload, Seat(node=node, gpus=gpus), now_us)
        for node, is_open in open_nodes.items()
    )
    return free if joins is None else min(free, joins)


def _grows_by(terms: MarketTerms, nodes: int, started_us: int | None, now_us: int) -> int:
    regrow_us = terms.regrow_us
    if regrow_us is None or started_us is None or now_us - started_us < regrow_us:
        return 0
    return nodes * terms.start_grace_us // regrow_us + 1


def affordable_nodes(
    market: Market, workload: Workload, micros: int, *, is_new: bool = False
) -> int:
    """For how many nodes an amount covers the earmark of an elastic bid; at most its most.
    `is_new`: where it would start on them."""
    sizes = range(1, workload.spec.most_nodes + 1)
    return bisect_right(
        sizes, micros, key=lambda it: earmark_micros(market, workload, it, is_new=is_new)
    )


def within_means(demand: Demand, nodes: int | None) -> Demand:
    """A demand that takes at most so many nodes; None: it is not elastic."""
    if nodes is None or demand.most_nodes == 0:
        return demand
    assert nodes >= demand.nodes, f"{demand.demand} cannot pay for its least"
    if nodes >= demand.most_nodes:
        return demand
    return replace(demand, most_nodes=min(demand.most_nodes, nodes))
