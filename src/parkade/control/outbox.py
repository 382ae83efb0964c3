"""What each pool's agent shall run: the live attempts of its market, as its engine needs them.

Follows committed events: an event names the workloads it touched, and only those are looked at
again. A desired state carries the epoch and the sequence of the last event that changed it, so an
agent can refuse an older one.
"""

import threading
from collections.abc import Iterator

from parkade.control.cycle import Committed
from parkade.core.fleet.market import Market
from parkade.core.workloads.workload import Attempt, Workload
from parkade.core.world.events import Cleared, Event, Forgotten
from parkade.core.world.world import World
from parkade.ports import DesiredAttempt, DesiredState, NodeShape


class Outbox:
    """Desired states by pool. Built from the world once, then kept up with each commit.

    `follow` is for the writer's thread, `has_pool` and `state` for any.
    """

    def __init__(self, world: World, *, sequence: int) -> None:
        self._lock = threading.Lock()
        self._epoch = world.records.epoch
        self._pool_of: dict[str, str] = {}
        self._attempts: dict[str, dict[str, DesiredAttempt]] = {}
        self._nodes: dict[str, tuple[NodeShape, ...]] = {}
        self._sequences: dict[str, int] = {}
        self._whole: dict[str, DesiredState] = {}
        self._open_pools(world, sequence)
        for name in world.records.workloads:
            self._look_at(world, name, sequence)

    def follow(self, world: World, committed: Committed) -> bool:
        """Takes in what was committed; true where some pool's desired state changed."""
        with self._lock:
            has_changed = self._open_pools(world, committed[-1][0])
            for sequence, event in committed:
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
                    sequence=self._sequences[pool],
                    attempts=tuple(self._attempts[pool].values()),
                    nodes=self._nodes[pool],
                )
            return self._whole[pool]

    def _open_pools(self, world: World, sequence: int) -> bool:
        opened = [m for m in world.records.markets.values() if m.pool not in self._sequences]
        for market in opened:
            self._attempts[market.pool] = {}
            self._nodes[market.pool] = nodes_of(world, market)
            self._sequences[market.pool] = sequence
        return bool(opened)

    def _look_at(self, world: World, name: str, sequence: int) -> bool:
        workload = world.records.workloads.get(name)
        pool = self._pool_of.get(name)
        if workload is not None and workload.attempt is not None:
            pool = world.records.markets[workload.market].pool
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


def nodes_of(world: World, market: Market) -> tuple[NodeShape, ...]:
    """The nodes of a pool, in order of their creation."""
    return tuple(
        NodeShape(node=node.node, gpus=node.gpus)
        for node in world.records.nodes.values()
        if node.market == market.market
    )


def touched_workloads(event: Event) -> Iterator[str]:
    """The workloads whose attempt an event may have changed."""
    match event:
        case Cleared(left=left, won=won):
            yield from (leaving.workload for leaving in left)
            yield from (winner.workload for winner in won)
        case Forgotten(workloads=workloads):
            yield from workloads
        case _:
            name = getattr(event, "workload", None)
            if isinstance(name, str):
                yield name


def desired_attempt(world: World, workload: Workload, attempt: Attempt) -> DesiredAttempt:
    """An attempt in the words of the engine's door."""
    spec = workload.spec
    return DesiredAttempt(
        attempt=attempt.attempt,
        workload=workload.workload,
        generation=attempt.generation,
        name=spec.name,
        org=workload.org,
        unix_user=world.records.users[workload.user].unix_name,
        command=spec.command,
        workdir=spec.workdir,
        env=spec.env,
        env_file=spec.env_file,
        ranks=attempt.seats,
        checkpoint_signal=spec.checkpoint.signal if spec.checkpoint else None,
        stop=attempt.stop,
    )
