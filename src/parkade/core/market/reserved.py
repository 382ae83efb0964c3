"""The reserved stage of the allocation: owners' demands, what they keep idle, and on-demand.

Theory of operation
-------------------
A reservation is a shape: nodes by fabric. Its *entitlement* is what of the shape is not used yet.
The stage counts room without floors, in this order:

1. Running on-demand keeps its fabric, while all its nodes are in play: no right displaces it.
2. Own fabrics: demands of a reservation take room of its own shape. First those that stand there
   already, whole gangs with no more than they stand on, so that no other demand of a reservation
   pushes them out, then the others, those that run elsewhere first. What those hold that find no
   room here is used: an idle demand never stops a running one of its own reservation, whatever
   their priorities.
3. Keep: idle nodes of the shape that are not lent are taken out of the room of all others. That is
   `keep` nodes of a reservation that lends, and all idle nodes of one that does not. They come from
   the fabrics with the least idle room first, so that what is lent lies together.
4. On-demand that does not run, or is to be healed, takes its fabric. Calendars sell a window beside
   the shapes of all reservations, so with all nodes open there is room for it.
5. Overflow: a demand that found no room in its own fabrics takes any fabric that holds it, of what
   only spot uses, the buffer included; its own first, if it overflows already. Its reservation
   keeps as much less, so no node of the shape is used twice.
6. Lend: what is neither used nor kept is offered to spot, at the owner's floor (`supply`).

An idle demand that step 2 refused for the sake of a running one asks its own fabrics again in step
5, because the running one may have lost.

Seats of an owner are not chosen anew while their nodes are in play: where these steps count its
demand elsewhere than it stands, they are taken once more with it as the first overflow. That holds
if it is counted where it stands then, and no demand lost its room by it. Running work below a node
is counted on its very nodes (`running_seats`).

In each step a demand takes the fabric it stands in, then one where enough nodes are free at this
moment (so that nodes an owner keeps come without a wait), then the tightest, then the first by
name. Keep and on-demand come before overflow: no owner's overflow takes what another owner keeps,
nor the room of a window that was sold.

A demand that stands on closed nodes asks its own fabric for the rest of its shape only
(`allocation`); its closed nodes use the entitlement as open ones do, each once.

Invariants: a reservation never uses, keeps and lends more nodes than its shape; kept nodes are in
its own fabrics; no demand overflows while its own fabrics hold it; with all nodes open, no
on-demand that was accepted is refused.

The one surprising rule: a demand that overflows uses the entitlement of the whole reservation, so
as much is no longer lent, although the nodes that it left in its own fabrics may be in play.

Example: amber and birch have 3 nodes each; acme has 2 nodes of amber and 1 of birch, lends, and
keeps 1. On the left all nodes are in play and it asks for y (1 node). On the right two nodes of
amber failed, and it asks for x (2 nodes) as well.

| step | all in play: y | amber has one node: x and y |
|---|---|---|
| own fabrics | y takes birch: 1 left of 1 is tighter than of 2 | x fits nowhere; y takes birch |
| entitlement left | 2, both in amber | 2, both in amber |
| keep | 1 node of amber | nothing: x may use the 2 yet |
| overflow | | x takes 2 nodes of birch; entitlement left 0 |
| lend | 1 node of amber | nothing |
| left to spot | amber 2, birch 2 | amber 1, birch 0 |

`test_reserved.py` computes it. Decision records 14 and 44 say why this order.
"""

from parkade.core.market.entitlement import Entitlement
from parkade.core.market.free_now import FreeNow
from parkade.core.market.layout import (
    Layout,
    is_too_large,
    own_fabrics,
    shape_of,
)
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.outcome import WaitReason
from parkade.core.market.reserved_room import ReservedStage, take_within, unused_closed
from parkade.core.market.running_seats import (
    is_counted_elsewhere,
    is_on_open_nodes,
)
from parkade.core.placement.room import Part, Room


def allocate_reserved(
    state: MarketState, layout: Layout, ordered: tuple[Demand, ...]
) -> ReservedStage:
    """Give reservations and on-demand their room; grows with their demands x fabrics, and once more
    for each owner's demand that is counted elsewhere than it stands.

    `ordered` is in priority order and holds no demand whose ranks are larger than a node.
    """
    assert all(it.gpus <= layout.node_gpus for it in ordered), "a rank larger than a node"
    stage = _allocate_with(state, layout, ordered, frozenset())
    assert stage is not None, "nothing is put anywhere"
    names = [
        it.demand
        for it in ordered
        if it.demand not in stage.stayed
        and is_counted_elsewhere(it, layout, stage.parts.get(it.demand))
    ]
    put: frozenset[str] = frozenset()
    asks_instants = stage.free_now.was_asked
    # All at once, because one may stand in the fabric of another; else one by one.
    for more in ([frozenset(names)] if names else []) + [frozenset({it}) for it in names]:
        tried = None if more <= put else _allocate_with(state, layout, ordered, put | more)
        # One that came to nothing is as one that asked.
        asks_instants = asks_instants or tried is None or tried.free_now.was_asked
        if tried is not None and _holds(tried, stage, layout, ordered, put | more):
            stage, put = tried, put | more
    stage.asks_instants = asks_instants
    return stage


def _holds(
    tried: ReservedStage,
    stage: ReservedStage,
    layout: Layout,
    ordered: tuple[Demand, ...],
    put: frozenset[str],
) -> bool:
    """Whether all of `put` are counted where they stand, and no demand lost its room for it."""
    return tried.parts.keys() >= stage.parts.keys() and not any(
        is_counted_elsewhere(it, layout, tried.parts[it.demand])
        for it in ordered
        if it.demand in put
    )


def _allocate_with(
    state: MarketState, layout: Layout, ordered: tuple[Demand, ...], put: frozenset[str]
) -> ReservedStage | None:
    """The steps of this stage; the demands of `put` are overflow, first of all where they stand.
    None where they are larger than their reservation."""
    room = Room([[0] * len(nodes) for nodes in layout.open_nodes], state.gpus_per_node)
    stage = ReservedStage(room, _entitlements(state, layout), FreeNow(layout, ordered))
    reserved = [it for it in ordered if it.tier is PriorityTier.RESERVED]
    on_demand = [it for it in ordered if it.tier is PriorityTier.ON_DEMAND]
    stays_put = [it for it in on_demand if _runs_whole(it, layout)]
    for demand in stays_put:
        _allocate_on_demand(demand, layout, stage)
    if not _set_aside([it for it in reserved if it.demand in put], stage):
        return None
    # On open nodes first: counted node by node, before others take the gaps there.
    open_ones: list[Demand] = []
    others: list[Demand] = []
    for demand in reserved:
        if demand.demand not in put:
            (open_ones if is_on_open_nodes(demand, layout) else others).append(demand)
    allocated = {
        it.demand
        for it in (*open_ones, *others)
        if _allocate_in_own_fabrics(it, layout, stage, runs_there=True)
    }
    overflowing = []
    for demand in reserved:
        if demand.demand in put:
            overflowing.append(demand)
        elif demand.demand not in allocated and not _allocate_in_own_fabrics(
            demand, layout, stage, runs_there=False
        ):
            overflowing.append(demand)
            stage.entitlements[demand.reservation or ""].hold_elsewhere(demand)
    overflowing.sort(key=lambda it: it.demand not in put)
    for name, entitlement in stage.entitlements.items():
        # What `put` uses elsewhere is set aside already.
        elsewhere = sum(
            it.nodes_used for it in overflowing if it.reservation == name and it.demand not in put
        )
        entitlement.keep(stage.room, elsewhere)
    seated = {it.demand for it in stays_put}
    for demand in on_demand:
        if demand.demand not in seated:
            _allocate_on_demand(demand, layout, stage)
    for entitlement in stage.entitlements.values():
        entitlement.release_elsewhere()
    for demand in overflowing:
        if demand.demand in put:
            stage.entitlements[demand.reservation or ""].set_aside(-demand.nodes_used)
        elif _allocate_in_own_fabrics(demand, layout, stage, runs_there=False):
            continue
        _allocate_overflow(demand, layout, stage)
    for entitlement in stage.entitlements.values():
        # What a demand that overflowed left of its entitlement after all is kept now.
        entitlement.keep(stage.room, 0)
        entitlement.lend_rest()
        assert entitlement.kept_and_lent() <= entitlement.left, (
            "a reservation holds more than its shape"
        )
    return stage


def _set_aside(demands: list[Demand], stage: ReservedStage) -> bool:
    """Whether the reservations of these demands are large enough; sets their nodes aside."""
    for demand in demands:
        entitlement = stage.entitlements[demand.reservation or ""]
        if entitlement.left < demand.nodes_used:
            return False
        entitlement.set_aside(demand.nodes_used)
    return True


def _runs_whole(demand: Demand, layout: Layout) -> bool:
    """Whether all its seats are on nodes in play."""
    in_play = sum(seat.node in layout.fabric_of for seat in demand.seats)
    return in_play == demand.nodes


def _allocate_on_demand(demand: Demand, layout: Layout, stage: ReservedStage) -> None:
    """Seat an on-demand where its window was sold, or refuse it."""
    assert demand.tier is PriorityTier.ON_DEMAND, f"{demand.demand} is not on-demand"
    if not take_within(demand, layout, stage, _sold_limits(demand, layout, stage)):
        too_large = is_too_large(demand, layout)
        reason = WaitReason.TOO_LARGE if too_large else WaitReason.NO_ROOM
        stage.refused[demand.demand] = reason


def _sold_limits(demand: Demand, layout: Layout, stage: ReservedStage) -> list[int]:
    """Nodes that an on-demand may open in each fabric; -1, so not even a gap, where its window was
    not sold."""
    return [
        free if demand.only_fabric in (None, name) else -1
        for name, free in zip(layout.fabrics, stage.room.free, strict=True)
    ]


def _entitlements(state: MarketState, layout: Layout) -> dict[str, Entitlement]:
    """The whole shape of each reservation, the oldest first."""
    older = sorted(state.reservations, key=lambda it: (it.created_us, it.reservation))
    assert len({it.reservation for it in older}) == len(older), "two reservations share a name"
    return {terms.reservation: Entitlement(terms, layout) for terms in older}


def _allocate_in_own_fabrics(
    demand: Demand, layout: Layout, stage: ReservedStage, *, runs_there: bool
) -> bool:
    """Whether the demand needs no overflow: it took room of its own fabrics, or was refused.

    `runs_there`: only fabrics in which it stands already count.
    """
    entitlement = stage.entitlements.get(demand.reservation or "")
    if entitlement is None:
        stage.refused[demand.demand] = WaitReason.RESERVATION_FULL
        return True
    if runs_there and not demand.seats:
        return False
    closed = unused_closed(demand, layout, entitlement)
    most = entitlement.left_for_next()
    stands = own_fabrics(demand, layout) if runs_there else {}
    if runs_there and _stays_put(demand, layout, stage, stands, min(most, demand.nodes)):
        return True
    limits = [-1] * len(layout.fabrics)
    is_whole = runs_there and is_on_open_nodes(demand, layout)
    for fabric in stands if runs_there else range(len(layout.fabrics)):
        in_fabric = min(entitlement.left_in_fabric(fabric), most)
        # No more than it stands on, where others may stand on the rest.
        in_fabric = min(in_fabric, stands[fabric]) if is_whole else in_fabric
        limits[fabric] = in_fabric - closed.get(fabric, 0)
    return take_within(demand, layout, stage, limits, entitlement=entitlement)


def _stays_put(
    demand: Demand, layout: Layout, stage: ReservedStage, stands: dict[int, int], most: int
) -> bool:
    """Whether a demand of whole open nodes keeps its one fabric, as most do: what `take_within`
    comes to there, at no cost that grows with the fabrics."""
    if len(stands) != 1 or demand.gpus != layout.node_gpus:
        return False
    if layout.closed and any(seat.node in layout.closed for seat in demand.seats):
        return False
    ((fabric, nodes),) = stands.items()
    entitlement, room = stage.entitlements[demand.reservation or ""], stage.room
    most = min(most, entitlement.left_in_fabric(fabric), room.free[fabric])
    if nodes != demand.nodes or most < nodes:
        return False
    stage.parts[demand.demand] = (Part(fabric, room.open(fabric, nodes), ()),)
    stage.stayed.add(demand.demand)
    entitlement.use(fabric, nodes)
    return True


def _allocate_overflow(demand: Demand, layout: Layout, stage: ReservedStage) -> None:
    """Seat a demand that found no room in its own fabrics wherever its whole shape fits.

    What its reservation keeps counts as room for it, and is kept again as far as it may.
    """
    assert demand.demand not in stage.parts, f"{demand.demand} has room already"
    stage.overflowed.add(demand.demand)
    entitlement = stage.entitlements[demand.reservation or ""]
    room = stage.room
    shape = shape_of(demand, layout)
    if shape.tenant is None and entitlement.left < shape.nodes:
        stage.refused[demand.demand] = WaitReason.RESERVATION_FULL
        return
    kept = entitlement.kept
    for fabric, nodes in kept.items():
        room.free[fabric] += nodes
    entitlement.kept = {}
    closed = unused_closed(demand, layout, entitlement)
    only = demand.overflows_to
    limits = [
        min(free, entitlement.left - closed.get(fabric, 0))
        if only is None or layout.fabrics[fabric] in only
        else -1
        for fabric, free in enumerate(room.free)
    ]
    is_allocated = take_within(demand, layout, stage, limits, entitlement=entitlement)
    if not is_allocated:
        full = entitlement.left < shape.nodes
        reason = WaitReason.RESERVATION_FULL if full else WaitReason.NO_ROOM
        if is_too_large(demand, layout):
            reason = WaitReason.TOO_LARGE
        stage.refused[demand.demand] = reason
    # What it took elsewhere is kept no longer: fabrics with the most kept nodes keep theirs first.
    allowed = min(sum(kept.values()), entitlement.left)
    for fabric, nodes in sorted(kept.items(), key=lambda it: (-it[1], it[0])):
        again = min(nodes, room.free[fabric], allowed)
        if again:
            room.free[fabric] -= again
            entitlement.kept[fabric] = again
            allowed -= again
    assert all(left >= 0 for left in room.free), "more is kept than a fabric has"
