"""One node as shown in full: who sits there, and what is known of it."""

from collections.abc import Iterable, Sequence

import msgspec

from parkade.api.translate.scalars import amount, instant, instant_or_none
from parkade.api.views import pools
from parkade.core.fleet.market import Market
from parkade.core.fleet.pool import Pool
from parkade.core.healing.incident import Incident
from parkade.core.repairing.buffer_use import BufferUse, buffers
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state.world import World
from parkade.core.workloads.workload import Workload
from parkade.ports import Trouble
from parkade.wire import nodes as wire

MOST_INCIDENTS = 10
"""That are shown: the newest."""


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen records of a node and what is around it. `reservations`: those of its fabric that take
    part now."""

    seated: pools.Seated
    pool: Pool
    market: Market
    workloads: tuple[Workload, ...]
    claims: tuple[Claim, ...]
    buffer: BufferUse
    reservations: tuple[Reservation, ...]
    incidents: tuple[Incident, ...]


def look(world: World, name: str) -> Detail | None:
    """Cheap enough for the writer's thread; None where there is no such node. Cost grows with
    fabrics, reservations and incidents."""
    node = world.node(name)
    if node is None:
        return None
    records = world.records
    here = {**world.held_on.get(name, {}), **world.promised_on.get(name, {})}
    found = [
        each
        for each in records.reservations.values()
        if each.market == node.market and each.state.takes_part and node.fabric in dict(each.shape)
    ]
    return Detail(
        seated=pools.seated(world, node),
        pool=records.pools[node.pool],
        market=records.markets[node.market],
        workloads=tuple(records.workloads[it] for it in here if it in records.workloads),
        claims=tuple(records.claims[it] for it in here if it in records.claims),
        buffer=next(
            it for it in buffers(world) if (it.market, it.fabric) == (node.market, node.fabric)
        ),
        reservations=tuple(found),
        incidents=tuple(it for it in records.incidents.values() if it.node == name),
    )


def node(
    detail: Detail,
    *,
    org: str | None,
    refuses: str | None,
    troubles: Sequence[Trouble],
    last_seen_us: int | None,
) -> wire.NodeInFull:
    """`org`: the caller's, which sees its own holders alone; None: an operator, who sees all.
    `refuses`: why the agent does not obey."""
    own, sees_all = detail.seated.node, org is None
    base = pools.node(detail.seated, sees_guests=sees_all)
    return wire.NodeInFull(
        **dict(base),
        instance_type=detail.market.instance_type.name,
        engine=detail.pool.engine,
        agent=pools.agent_state(detail.pool, refuses),
        engine_silent_since=instant_or_none(pools.engine_silent_us(troubles)),
        last_seen=instant_or_none(last_seen_us),
        last_org=own.last_org if sees_all else None,
        holders=tuple(it for it in _holders(detail) if org in (None, it.org)),
        fabric_nodes=detail.buffer.nodes,
        buffer=detail.buffer.held if sees_all else None,
        reservations=tuple(_reservations(detail)) if sees_all else (),
        incidents=tuple(_incidents(detail.incidents)) if sees_all else (),
    )


def _holders(detail: Detail) -> Iterable[wire.NodeHolder]:
    """Workloads, then claims."""
    held, promised = dict(detail.seated.held), dict(detail.seated.promised)
    for each in detail.workloads:
        yield wire.NodeHolder(
            holder=each.workload,
            kind="workload",
            name=each.spec.name,
            org=each.org,
            user=each.user,
            phase=each.phase.value,
            gpus_held=held.get(each.workload, 0),
            gpus_promised=promised.get(each.workload, 0),
        )
    for claim in detail.claims:
        yield wire.NodeHolder(
            holder=claim.claim,
            kind="claim",
            name=claim.reservation,
            org=claim.org,
            user=None,
            phase="held" if held.get(claim.claim) else "promised",
            gpus_held=held.get(claim.claim, 0),
            gpus_promised=promised.get(claim.claim, 0),
        )


def _reservations(detail: Detail) -> Iterable[wire.FabricReservation]:
    for each in detail.reservations:
        lending = each.lending
        yield wire.FabricReservation(
            reservation=each.reservation,
            org=each.org,
            nodes=dict(each.shape)[detail.seated.node.fabric],
            floor=None if lending is None else amount(lending.floor_micros),
            keep=0 if lending is None else lending.keep,
        )


def _incidents(incidents: Sequence[Incident]) -> Iterable[wire.NodeIncident]:
    """Open ones first, then the last closed ones, the newest first."""
    newest = sorted(incidents, key=lambda it: (it.outcome is not None, -it.opened_us))
    for each in newest[:MOST_INCIDENTS]:
        yield wire.NodeIncident(
            incident=each.incident,
            level=each.level.value,
            signal=each.signal,
            action=each.action.value,
            opened=instant(each.opened_us),
            closed=instant_or_none(each.closed_us),
            outcome=None if each.outcome is None else each.outcome.value,
        )
