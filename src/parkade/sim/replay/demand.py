"""What is wanted at each minute: owners' nodes, and queued work cut into guests.

An owner claims as many whole nodes as hold its busy GPUs (`owners`). Its queue is cut into *guests*
of at most one node, for the trace does not tell the shapes of jobs: what the queue grows by becomes
new guests, what it shrinks by takes the oldest away that leave whole. Where that is not enough the
oldest of the others is cut: the rest of it queues as a new guest with the same limit.

Everything drawn by chance is drawn here, before anything is decided, so that demand is the same
under every policy.
"""

import random
from collections import defaultdict, deque

import msgspec

from parkade.core.units.time import SECOND_US
from parkade.sim.replay.owners import OwnerClaim, claims_of
from parkade.sim.replay.quotes import draw_limit
from parkade.sim.replay.scenario import Guests
from parkade.sim.replay.traces import Trace

PERCENT = 100


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """Queued work of one tenant that fits a node."""

    number: int
    org: str
    gpus: int
    limit_micros: int
    saving_us: int | None
    """How long it takes to save at a notice; None: it does not."""


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """What changes at one minute; in this order: what ends, what owners claim, what arrives."""

    minute: int
    gone: tuple[int, ...]
    """Numbers of guests that leave the queue."""

    given_back: tuple[OwnerClaim, ...]
    claimed: tuple[OwnerClaim, ...]

    busy_gpus: int
    """Of all owners from now on."""

    queued_gpus: int
    new: tuple[Guest, ...]


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, in order of time."""

    start_us: int
    minutes: int
    nodes: tuple[tuple[str, int], ...]
    """(tenant, nodes of its quota)."""

    gpus_per_node: int
    changes: tuple[Minute, ...]
    """Only minutes in which something changes."""

    busy_gpu_minutes: int
    queued_gpu_minutes: int
    servable_gpu_minutes: int
    """The sum over minutes of the lesser of queued GPUs and idle ones."""

    cuts: int
    """Guests that left in part."""


class _Queue:
    """One tenant's queue as guests, the oldest first."""

    def __init__(self, org: str, draw: "_Draw", gpus_per_node: int) -> None:
        self._org = org
        self._draw = draw
        self._most = gpus_per_node
        self._guests: deque[Guest] = deque()
        self.cuts = 0

    def grow(self, gpus: int) -> list[Guest]:
        """New guests of so many GPUs together: whole nodes first."""
        sizes = [self._most] * (gpus // self._most)
        sizes += [gpus % self._most] if gpus % self._most else []
        new = [self._draw.guest(self._org, size) for size in sizes]
        self._guests.extend(new)
        return new

    def shrink(self, gpus: int) -> tuple[list[int], list[Guest]]:
        """Numbers of those that leave, and what is left of one that leaves in part."""
        gone, kept = [], deque[Guest]()
        for guest in self._guests:
            if guest.gpus <= gpus:
                gone.append(guest.number)
                gpus -= guest.gpus
            else:
                kept.append(guest)
        rest: list[Guest] = []
        if gpus:
            cut = kept.popleft()
            gone.append(cut.number)
            rest = [self._draw.rest_of(cut, cut.gpus - gpus)]
            self.cuts += 1
        self._guests = deque([*rest, *kept])
        return gone, rest


class _Draw:
    """Numbers guests and draws what they are; each kind of chance has a stream of its own."""

    def __init__(self, quotes: tuple[float, ...], spread: int, given: Guests, seed: int) -> None:
        self._quotes = quotes
        self._spread = spread / PERCENT
        self._given = given
        self._limits = random.Random(f"{seed}/limits")
        self._saving = random.Random(f"{seed}/saving")
        self._count = 0

    def guest(self, org: str, gpus: int) -> Guest:
        """A new one."""
        given = self._given
        does_save = self._saving.randrange(PERCENT) < given.saves
        seconds = self._saving.uniform(
            given.saving_from.total_seconds(), given.saving_to.total_seconds()
        )
        self._count += 1
        return Guest(
            number=self._count,
            org=org,
            gpus=gpus,
            limit_micros=draw_limit(self._quotes, self._spread, self._limits),
            saving_us=round(seconds * SECOND_US) if does_save else None,
        )

    def rest_of(self, cut: Guest, gpus: int) -> Guest:
        """What is left of one that leaves in part."""
        self._count += 1
        return msgspec.structs.replace(cut, number=self._count, gpus=gpus)


def demand_of(
    trace: Trace,
    quotes: tuple[float, ...],
    *,
    spread: int,
    guests: Guests,
    gpus_per_node: int,
    seed: int,
) -> Demand:
    """The demand of a trace; `spread` in percent. Cost: tenants x minutes."""
    draw = _Draw(quotes, spread, guests, seed)
    queues = {it.tenant: _Queue(it.tenant, draw, gpus_per_node) for it in trace.tenants}
    claimed: defaultdict[int, list[OwnerClaim]] = defaultdict(list)
    given_back: defaultdict[int, list[OwnerClaim]] = defaultdict(list)
    for claim in claims_of(trace, gpus_per_node):
        claimed[claim.from_minute].append(claim)
        given_back[claim.until_minute].append(claim)
    changes = []
    busy_sum = queued_sum = servable_sum = 0
    before = (-1, -1)
    for minute in range(trace.minutes):
        busy = sum(tenant.busy[minute] for tenant in trace.tenants)
        queued = sum(tenant.queued[minute] for tenant in trace.tenants)
        busy_sum += busy
        queued_sum += queued
        servable_sum += min(queued, trace.quota_gpus - busy)
        gone, new = _queue_changes(trace, queues, minute)
        is_same = (busy, queued) == before and not gone and not new
        if is_same and minute not in claimed and minute not in given_back:
            continue
        before = (busy, queued)
        changes.append(
            Minute(
                minute=minute,
                gone=tuple(gone),
                given_back=tuple(given_back[minute]),
                claimed=tuple(claimed[minute]),
                busy_gpus=busy,
                queued_gpus=queued,
                new=tuple(new),
            )
        )
    return Demand(
        start_us=trace.start_us,
        minutes=trace.minutes,
        nodes=tuple((it.tenant, it.quota_gpus // gpus_per_node) for it in trace.tenants),
        gpus_per_node=gpus_per_node,
        changes=tuple(changes),
        busy_gpu_minutes=busy_sum,
        queued_gpu_minutes=queued_sum,
        servable_gpu_minutes=servable_sum,
        cuts=sum(queue.cuts for queue in queues.values()),
    )


def _queue_changes(
    trace: Trace, queues: dict[str, _Queue], minute: int
) -> tuple[list[int], list[Guest]]:
    """Numbers of guests that leave the queue at a minute, and new ones."""
    gone: list[int] = []
    new: list[Guest] = []
    for tenant in trace.tenants:
        more = tenant.queued[minute] - (tenant.queued[minute - 1] if minute else 0)
        if more > 0:
            new += queues[tenant.tenant].grow(more)
        elif more < 0:
            left, rest = queues[tenant.tenant].shrink(-more)
            gone += left
            new += rest
    return gone, new
