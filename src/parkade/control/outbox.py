"""What each pool's agent shall run: the live attempts on its nodes, as its engine needs them.

Follows committed events: an event names the workloads it touched, and only those are looked at
again. A desired state carries the epoch and the sequence of the last event that changed it, so an
agent can refuse an older one.
"""

import threading
from collections.abc import Iterator
from typing import assert_never

from msgspec.structs import replace

from parkade.control.cycle import Committed
from parkade.control.observing import observing, unfenced_of
from parkade.core.fleet.pool import Fence
from parkade.core.healing.incident import RepairOrder
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.units.indexes import count
from parkade.core.units.time import MINUTE_US
from parkade.core.workloads.life import Cause
from parkade.core.workloads.saving import save_request
from parkade.core.workloads.workload import Attempt, Rank, Stop, Workload
from parkade.ports import DesiredAttempt, DesiredRank, DesiredState, GivenNodes, Lease, NodeShape

FENCE_SLACK_US = MINUTE_US
OF_OWNERS = (
    events.FenceSet,
    events.TermsChanged,
    events.ClaimSeated,
    events.Unclaimed,
    events.Cleared,
    events.NodeRemoved,
)
"""Events that may change what owners are given, or how long a fence stands."""

_FREQUENT = (events.AboutWorkloads, events.UsePosted)
"""Events that change no node, no repair and nothing that owners are given, and are most of all."""


class Outbox:
    """Desired states by pool. Built from the world once, then kept up with each commit.

    `follow` is for the writer's thread, `has_pool` and `state` for any.
    """

    def __init__(self, world: World, *, sequence: int, digest: str | None = None) -> None:
        self._lock = threading.Lock()
        self._epoch = world.records.epoch
        self._installation = world.records.installation
        self._lineage = world.records.lineage
        self._pool_of: dict[str, str] = {}
        self._attempts: dict[str, dict[str, DesiredAttempt]] = {}
        self._nodes: dict[str, tuple[NodeShape, ...]] = {}
        self._repairs: dict[str, dict[str, RepairOrder]] = {}
        self._given: dict[str, tuple[GivenNodes, ...]] = {}
        self._fences: dict[str, int | None] = {}
        self._observing = observing(world)
        self._unfenced: dict[str, tuple[str, ...]] = {}
        self._sequences: dict[str, int] = {}
        self._end: tuple[int, str | None] = (sequence, digest)
        self._whole: dict[str, DesiredState] = {}
        self._open_pools(world, sequence)
        for name in world.records.workloads:
            self._look_at(world, name, sequence)
        for incident in world.records.incidents.values():
            has_node = incident.node in world.records.nodes
            if incident.order is not None and has_node:
                self._repairs[incident.pool][incident.order.order] = incident.order
        for turnaround in world.records.turnarounds.values():
            if turnaround.order is not None:
                pool = world.records.nodes[turnaround.node].pool
                self._repairs[pool][turnaround.order.order] = turnaround.order

    def follow(self, world: World, committed: Committed, digest: str | None = None) -> bool:
        """Takes in what was committed; true where some pool's desired state changed. `digest` is
        the journal's at its end."""
        with self._lock:
            self._end = (committed[-1][0], digest)
            has_changed = self._open_pools(world, committed[-1][0])
            has_changed = self._follow_owners(world, committed) or has_changed
            has_changed = self._follow_observing(world, committed) or has_changed
            for sequence, event in committed:
                if not isinstance(event, _FREQUENT):
                    has_changed = self._follow_nodes(world, event, sequence) or has_changed
                    has_changed = self._follow_repairs(world, event, sequence) or has_changed
                for name in touched_workloads(event):
                    has_changed = self._look_at(world, name, sequence) or has_changed
            return has_changed

    def has_pool(self, pool: str) -> bool:
        """Whether there is such a pool."""
        return pool in self._sequences

    def state(self, pool: str) -> DesiredState | None:
        """All of a pool, None if there is no such pool."""
        with self._lock:
            if pool not in self._sequences:
                return None
            if pool not in self._whole:
                self._whole[pool] = DesiredState(
                    pool=pool,
                    epoch=self._epoch,
                    installation=self._installation,
                    lineage=self._lineage,
                    sequence=self._sequences[pool],
                    attempts=tuple(self._attempts[pool].values()),
                    nodes=self._nodes[pool],
                    position=self._end[0],
                    digest=self._end[1],
                    repairs=tuple(self._repairs[pool].values()),
                    given=self._given[pool],
                    fence_lapse_us=self._fences[pool],
                    unfenced=self._unfenced[pool],
                )
            return self._whole[pool]

    def _open_pools(self, world: World, sequence: int) -> bool:
        opened = [pool for pool in world.records.pools if pool not in self._sequences]
        for pool in opened:
            self._attempts[pool] = {}
            self._repairs[pool] = {}
            self._sequences[pool] = sequence
            self._nodes[pool] = nodes_of(world, pool)
            self._given[pool] = given_of(world, pool)
            self._fences[pool] = fence_of(world, pool)
            self._unfenced[pool] = unfenced_of(world, pool) if pool in self._observing else ()
        return bool(opened)

    def _follow_nodes(self, world: World, event: events.AnyEvent, sequence: int) -> bool:
        """The nodes of a pool changed, or it was closed. Only events of the fleet do that."""
        if not isinstance(event, events.FleetEvent):
            return False
        match event:
            case events.NodesAdded(pool=pool) | events.NodeRemoved(pool=pool):
                self._nodes[pool] = nodes_of(world, pool)
                self._sequences[pool] = sequence
                self._whole.pop(pool, None)
                return True
            case events.PoolClosed(pool=pool):
                del self._attempts[pool], self._nodes[pool], self._sequences[pool]
                del self._repairs[pool], self._given[pool], self._fences[pool]
                del self._unfenced[pool]
                self._whole.pop(pool, None)
                return True
            case (
                events.PoolOpened()
                | events.NodeDraining()
                | events.NodeUndrained()
                | events.TermsAnnounced()
                | events.TermsChanged()
                | events.PricesSet()
                | events.NodeHealthSet()
                | events.NodeCordoned()
                | events.NodeUncordoned()
                | events.ReachabilityChanged()
            ):
                return False
            case events.FenceSet():
                return False
            case _:
                assert_never(event)

    def _follow_owners(self, world: World, committed: Committed) -> bool:
        """Owners were given nodes for their jobs, or a fence is wanted. Looked at once a batch, and
        only where an event of it may change that; grows with the claims, and the nodes."""
        if not any(isinstance(event, OF_OWNERS) for event in _rare(committed)):
            return False
        has_changed = False
        for pool in self._sequences:
            given, fence = given_of(world, pool), fence_of(world, pool)
            if (given, fence) != (self._given[pool], self._fences[pool]):
                self._given[pool], self._fences[pool] = given, fence
                self._sequences[pool] = committed[-1][0]
                self._whole.pop(pool, None)
                has_changed = True
        return has_changed

    def _follow_observing(self, world: World, committed: Committed) -> bool:
        """Nodes left a fence, or came back to it. Looked at once a batch; grows with the nodes
        where the fleet changed, and while a pool observes."""
        if any(isinstance(event, events.FleetEvent) for event in _rare(committed)):
            self._observing = observing(world)
        has_changed = False
        for pool in self._sequences:
            unfenced = unfenced_of(world, pool) if pool in self._observing else ()
            if unfenced != self._unfenced[pool]:
                self._unfenced[pool] = unfenced
                self._sequences[pool] = committed[-1][0]
                self._whole.pop(pool, None)
                has_changed = True
        return has_changed

    def _follow_repairs(self, world: World, event: events.AnyEvent, sequence: int) -> bool:
        """An order began or ended, or its node is gone."""
        match event:
            case events.TurnaroundOrdered(node=name, order=order):
                pool = world.records.nodes[name].pool
                self._repairs[pool][order.order] = order
            case events.TurnaroundEnded(node=name, report=report):
                pool = world.records.nodes[name].pool
                self._repairs[pool].pop(report.order, None)
            case events.RepairOrdered(order=order):
                pool = world.records.incidents[order.incident].pool
                self._repairs[pool][order.order] = order
            case events.RepairEnded(report=report, incident=name):
                pool = world.records.incidents[name].pool
                self._repairs[pool].pop(report.order, None)
            case events.NodeRemoved(pool=pool, node=node):
                left = {k: v for k, v in self._repairs[pool].items() if v.node != node}
                self._repairs[pool] = left
            case _:
                return False
        self._sequences[pool] = sequence
        self._whole.pop(pool, None)
        return True

    def _look_at(self, world: World, name: str, sequence: int) -> bool:
        workload = world.records.workloads.get(name)
        pool = self._pool_of.get(name)
        if workload is not None and workload.attempt is not None:
            found = world.pool_of(workload.attempt.seats)
            assert found is not None, "an attempt has seats"
            pool = found.pool
        if pool is None:
            return False
        before = self._attempts[pool].get(name)
        after = None
        if workload is not None and workload.attempt is not None:
            after = desired_attempt(world, workload, workload.attempt)
        if before == after:
            return False
        if after is None:
            del self._attempts[pool][name], self._pool_of[name]
        else:
            self._attempts[pool][name] = after
            self._pool_of[name] = pool
        self._sequences[pool] = sequence
        self._whole.pop(pool, None)
        return True


def _rare(committed: Committed) -> list[events.AnyEvent]:
    return [event for _, event in committed if not isinstance(event, _FREQUENT)]


def nodes_of(world: World, pool: str) -> tuple[NodeShape, ...]:
    """The nodes of a pool, in order of their creation. Cost grows with all nodes."""
    return tuple(
        NodeShape(node=node.node, gpus=node.gpus)
        for node in world.records.nodes.values()
        if node.pool == pool
    )


def given_of(world: World, pool: str) -> tuple[GivenNodes, ...]:
    """What owners hold for their jobs in the queue of a pool's engine, the nodes of all claims of a
    job together. Cost grows with all claims."""
    found: dict[str, GivenNodes] = {}
    for claim in world.records.claims.values():
        if claim.source is None or not claim.source.startswith(f"{pool}/") or not claim.held:
            continue
        job = claim.source.removeprefix(f"{pool}/")
        first = found.get(job)
        nodes = tuple(seat.node for seat in claim.held)
        found[job] = GivenNodes(
            claim=claim.claim if first is None else first.claim,
            job=job,
            nodes=nodes if first is None else (*first.nodes, *nodes),
        )
    return tuple(found.values())


def fence_of(world: World, pool: str) -> int | None:
    """For how long a pool's fence stands alone: until the leases of all guests have lapsed and
    they are gone."""
    record = world.records.pools.get(pool)
    if record is None or record.fence in (Fence.UNNEEDED, Fence.NONE):
        return None
    markets = {node.market for node in world.records.nodes.values() if node.pool == pool}
    terms = [world.records.markets[market].terms for market in markets]
    return FENCE_SLACK_US + max(
        ((it.agent_lease_us or MINUTE_US) + it.notice_us + it.kill_us for it in terms), default=0
    )


def touched_workloads(event: events.AnyEvent) -> Iterator[str]:
    """The workloads whose attempt an event may have changed. None of the fleet's does."""
    if isinstance(event, events.AboutWorkloads):
        named = event.workload
        yield named if isinstance(named, str) else named.workload
        return
    match event:
        case events.Cleared(left=left, won=won, resized=resized):
            yield from (each.workload for each in resized)
            yield from (lines.name_of(leaving.demand) for leaving in left)
            yield from (lines.name_of(winner.demand) for winner in won)
        case events.Forgotten(workloads=names):
            yield from names
        case events.EpochOpened() | events.ClockJumped():
            pass
        case events.ClockConfirmed() | events.ClockAdvanced():
            pass
        case events.OrgCreated() | events.UserCreated() | events.TokenAdded():
            pass
        case events.UnixNameSet():
            pass
        case events.OrgDisabled() | events.UserDisabled() | events.UserRoleSet():
            pass
        case events.OrgDeleted() | events.UserDeleted():
            pass
        case events.TokenRevoked() | events.GrantSet() | events.CapSet():
            pass
        case events.OrgCapSet() | events.OrgBoundsSet() | events.OrgDescribed():
            pass
        case events.CapNoted():
            pass
        case events.MoneyMoved() | events.UsePosted() | events.WithdrawalCharged():
            pass
        case (
            events.ReservationPaid()
            | events.ReservationSettled()
            | events.ReservationDivided()
            | events.Reserved()
            | events.ReservationChanged()
        ):
            pass
        case events.LendingSet() | events.Claimed() | events.ClaimSeated() | events.Unclaimed():
            pass
        case _:
            known = events.FleetEvent | events.MaintenanceEvent | events.HealingEvent
            if not isinstance(event, known):
                assert_never(event)


def desired_attempt(world: World, workload: Workload, attempt: Attempt) -> DesiredAttempt:
    """An attempt in the words of the engine's door."""
    spec = workload.spec
    return DesiredAttempt(
        attempt=attempt.attempt,
        workload=workload.workload,
        generation=attempt.generation,
        launch_sequence=attempt.launch_sequence,
        name=spec.name,
        org=workload.org,
        unix_user=world.records.users[workload.user].unix_name,
        command=spec.command,
        workdir=spec.workdir,
        env=spec.env,
        env_file=spec.env_file,
        ranks=attempt.seats,
        stop=_order(attempt.stop),
        ordered_us=attempt.ordered_us,
        save=save_request(spec.checkpoint),
        lease=_lease(world, workload, attempt),
        array_index=workload.index,
        array_count=_array_count(world, workload),
        image=spec.image,
        heal_notice_us=_heal_notice_us(world, workload, attempt),
        is_live=spec.is_live and attempt.can_resize,
        resizes=attempt.resizes,
        members=tuple(_desired_rank(it) for it in attempt.ranks),
    )


def _desired_rank(rank: Rank) -> DesiredRank:
    stop = None if rank.leaving is None else _order(rank.leaving.stop)
    return DesiredRank(rank=rank.rank, since=rank.since, seat=rank.seat, stop=stop)


def _order(stop: Stop | None) -> Stop | None:
    """As agents of before read it too: they know no `below_floor`, and are upgraded in any order
    with the server."""
    if stop is None or stop.cause is not Cause.BELOW_FLOOR:
        return stop
    return replace(stop, cause=Cause.RECLAIMED)


def _heal_notice_us(world: World, workload: Workload, attempt: Attempt) -> int | None:
    if len(attempt.seats) == 1 and not (workload.spec.is_live and attempt.can_resize):
        return None
    terms = world.records.markets[workload.market].terms
    return min(terms.heal_notice_us, terms.notice_us)


def _array_count(world: World, workload: Workload) -> int | None:
    if workload.member_of is None:
        return None
    terms = world.records.workloads[workload.member_of].spec.array
    assert terms is not None, "a member has an array"
    return count(terms.members)


def _lease(world: World, workload: Workload, attempt: Attempt) -> Lease | None:
    if attempt.lease_us is None:
        return None
    terms = world.records.markets[workload.market].terms
    return Lease(silence_us=attempt.lease_us, notice_us=terms.notice_us, kill_us=terms.kill_us)
