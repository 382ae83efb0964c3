"""The world: one mutable container of frozen records, changed by `evolve` alone.

`Records` is everything a snapshot holds. The rest of `World` are indexes that follow from the
records: they are rebuilt on reading a snapshot and are no part of it.
"""

import typing

import msgspec
from msgspec.structs import replace

from parkade.core.fleet.buffer import SizedBuffers
from parkade.core.fleet.maintenance import Maintenance
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Node
from parkade.core.fleet.pool import Pool
from parkade.core.fleet.seat import Seat, by_node
from parkade.core.healing.buffer_size import Steps
from parkade.core.healing.guards import Breaker
from parkade.core.healing.incident import Automation, Care, Incident, RepairKind
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.turnaround import Turnaround, TurnaroundTimes
from parkade.core.healing.wear import Wear
from parkade.core.ledger.accounts import Ledger
from parkade.core.market.remembered import Memory
from parkade.core.reservations.missing import MissingNode
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state.agenda import Agenda, Entry
from parkade.core.state.fabric_counts import FabricCounts
from parkade.core.state.members import MembersOfArrays
from parkade.core.state.people import Begun, Org, Spending, Token, User
from parkade.core.state.waking import wake_claim, wake_workload
from parkade.core.units.names import same_host
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Unadmitted, Unstarted, Workload

SNAPSHOT_VERSION = 3


class Records(msgspec.Struct, kw_only=True):
    """Everything that a snapshot holds, by id; the order is the order of creation.

    `sequence`: events evolved so far, which is the journal's sequence.
    `accepting_epoch`: the last that was opened to accept agents of a lost journal, 0 for none.
    `counters`: the last number given to each kind of id. `owed`: by market, what each account has
    earned below what it was paid (micro-units per hour x microseconds). `use_by_day`: GPU x
    microseconds of spot use by org and day since 1970, for a week. `cares` is by node, `incidents`
    the open ones and the last closed ones, `hurt` the open incident that a workload waits for,
    `budgets` what the guards count, `sick` by market/fabric the nodes that lately got a bad verdict
    and when, `repair_kinds` by pool what its agent can do. `turnarounds` is by node, what is under
    way between two orgs, `turnaround_times` by market. `unstarted` is by org. `buffers` are the
    last sizes by market, `downs` by market/fabric the number of nodes down over time,
    `surroundings` by node what it shares with others, `missing` by reservation the nodes that it
    lacks while it is short. `buffer_earned` is by market, in micro-units since this is counted,
    `wear` by node what befell it in the last weeks.
    """

    version: int = SNAPSHOT_VERSION
    now_us: int = 0
    sequence: int = 0
    installation: str | None = None
    lineage: str | None = None
    epoch: int = 0
    accepting_epoch: int = 0
    is_clock_doubted: bool = False
    counters: dict[str, int] = msgspec.field(default_factory=dict)
    pools: dict[str, Pool] = msgspec.field(default_factory=dict)
    markets: dict[str, Market] = msgspec.field(default_factory=dict)
    nodes: dict[str, Node] = msgspec.field(default_factory=dict)
    orgs: dict[str, Org] = msgspec.field(default_factory=dict)
    users: dict[str, User] = msgspec.field(default_factory=dict)
    tokens: dict[str, Token] = msgspec.field(default_factory=dict)
    balances: dict[str, int] = msgspec.field(default_factory=dict)
    owed: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    spending_by_user: dict[str, Spending] = msgspec.field(default_factory=dict)
    spending_by_org: dict[str, Spending] = msgspec.field(default_factory=dict)
    begun_by_org: dict[str, Begun] = msgspec.field(default_factory=dict)
    use_by_day: dict[str, dict[int, int]] = msgspec.field(default_factory=dict)
    reservations: dict[str, Reservation] = msgspec.field(default_factory=dict)
    claims: dict[str, Claim] = msgspec.field(default_factory=dict)
    workloads: dict[str, Workload] = msgspec.field(default_factory=dict)
    automation: Automation = Automation()
    cares: dict[str, Care] = msgspec.field(default_factory=dict)
    incidents: dict[str, Incident] = msgspec.field(default_factory=dict)
    hurt: dict[str, str] = msgspec.field(default_factory=dict)
    budgets: dict[str, Breaker] = msgspec.field(default_factory=dict)
    sick: dict[str, tuple[tuple[str, int], ...]] = msgspec.field(default_factory=dict)
    repair_kinds: dict[str, tuple[RepairKind, ...]] = msgspec.field(default_factory=dict)
    turnarounds: dict[str, Turnaround] = msgspec.field(default_factory=dict)
    turnaround_times: dict[str, TurnaroundTimes] = msgspec.field(default_factory=dict)
    unstarted: dict[str, Unstarted] = msgspec.field(default_factory=dict)
    unadmitted: dict[str, Unadmitted] = msgspec.field(default_factory=dict)
    buffers: dict[str, SizedBuffers] = msgspec.field(default_factory=dict)
    downs: dict[str, Steps] = msgspec.field(default_factory=dict)
    surroundings: dict[str, Surroundings] = msgspec.field(default_factory=dict)
    missing: dict[str, tuple[MissingNode, ...]] = msgspec.field(default_factory=dict)
    buffer_earned: dict[str, int] = msgspec.field(default_factory=dict)
    wear: dict[str, Wear] = msgspec.field(default_factory=dict)
    maintenance: dict[str, Maintenance] = msgspec.field(default_factory=dict)


_FLAT = tuple(
    name
    for name, kind in typing.get_type_hints(Records).items()
    if typing.get_origin(kind) is dict and typing.get_origin(typing.get_args(kind)[1]) is not dict
)
_NESTED = tuple(
    name
    for name, kind in typing.get_type_hints(Records).items()
    if typing.get_origin(kind) is dict and typing.get_origin(typing.get_args(kind)[1]) is dict
)
"""Fields of Records that are dicts of frozen values, and those that are dicts of dicts."""


class World:
    """Records and the indexes that follow from them. Only `evolve` may change either.

    `held_on` and `promised_on`: by node, GPUs by holder (a workload's or claim's id); `live`:
    workloads that have not ended, by org and in all, in order of submission; `sizes` and
    `pools_of`: by market, nodes of each fabric and of each pool. `waiters`: by workload, those that
    wait for its start or end. `listed`: live workloads that name several capacities or markets.
    `counts`: by market/fabric, nodes with spot work and nodes out of play. `members`: by array,
    those that are open.

    `memories`: by market, what its last clearings came to. They are no part of the world: a
    clearing keeps them, and its outcome is the same with and without.
    """

    def __init__(self, records: Records) -> None:
        self.records = records
        self.ledger = Ledger(records.balances)
        self.tokens_by_digest = {token.digest: token.token for token in records.tokens.values()}
        self.sizes: dict[str, dict[str, int]] = {}
        self.pools_of: dict[str, dict[str, int]] = {}
        self.counts = FabricCounts()
        for node in records.nodes.values():
            self._count_node(node)
        self.live: dict[str, None] = {}
        self.live_of_org: dict[str, dict[str, None]] = {}
        self.listed: dict[str, None] = {}
        self.held_on: dict[str, dict[str, int]] = {node: {} for node in records.nodes}
        self.promised_on: dict[str, dict[str, int]] = {node: {} for node in records.nodes}
        self.waiters: dict[str, dict[str, None]] = {}
        self.members = MembersOfArrays()
        self.memories: dict[str, Memory] = {}
        self.agenda = Agenda()
        for name in records.orgs:
            self.agenda.add(Entry.GRANT, name)
            self.agenda.add(Entry.ORG_CAP, name)
        for name in records.users:
            self.agenda.add(Entry.USER_CAP, name)
        for market in records.markets:
            self.agenda.add(Entry.TERMS, market)
            self.agenda.add(Entry.BUFFER, market)
        for reservation in records.reservations.values():
            self.agenda.add(Entry.RESERVATION, reservation.reservation)
        for window in records.maintenance:
            self.agenda.add(Entry.MAINTENANCE, window)
        for claim in records.claims.values():
            self._index_claim(claim)
        for workload in records.workloads.values():
            self.members.put(None, workload)
            self._index_workload(workload)
        for org in records.orgs.values():
            if org.disabled_us is not None:
                self.wake_disabled(org.org)
        for sick in records.cares:
            self.agenda.add(Entry.REPAIR, sick)
        for name in records.nodes:
            self._wake_sanitising(name)

    def copy(self) -> "World":
        """A world of its own with the same frozen records: what is evolved in one does not change
        the other. Cost grows with the number of records, not with their size."""
        made = World.__new__(World)
        records = made.records = replace(self.records)
        for field in _FLAT:
            setattr(records, field, getattr(records, field).copy())
        for field in _NESTED:
            inner = getattr(records, field)
            setattr(records, field, {key: value.copy() for key, value in inner.items()})
        made.ledger = Ledger(records.balances)
        made.tokens_by_digest = self.tokens_by_digest.copy()
        made.sizes = {key: value.copy() for key, value in self.sizes.items()}
        made.pools_of = {key: value.copy() for key, value in self.pools_of.items()}
        made.counts = self.counts.copy()
        made.live = self.live.copy()
        made.live_of_org = {key: value.copy() for key, value in self.live_of_org.items()}
        made.listed = self.listed.copy()
        made.held_on = {key: value.copy() for key, value in self.held_on.items()}
        made.promised_on = {key: value.copy() for key, value in self.promised_on.items()}
        made.waiters = {key: value.copy() for key, value in self.waiters.items()}
        made.members = self.members.copy()
        # What a memory holds changes no outcome, and two threads may not share one.
        made.memories = {}
        made.agenda = self.agenda.copy()
        return made

    def node(self, name: str) -> Node | None:
        """The node of that name in whatever case. A name in another case costs a look at all."""
        exact = self.records.nodes.get(name)
        if exact is not None:
            return exact
        host = same_host(name)
        return next((it for it in self.records.nodes.values() if same_host(it.node) == host), None)

    def put_new_node(self, node: Node) -> None:
        """Stores the record of a node that did not exist."""
        assert node.node not in self.records.nodes
        self.records.nodes[node.node] = node
        self.held_on[node.node] = {}
        self.promised_on[node.node] = {}
        self._count_node(node)

    def drop_node(self, name: str) -> None:
        """Drops the record of a node on which nothing is held or promised."""
        assert not self.held_on[name] and not self.promised_on[name]
        assert self.open_incident(name) is None, "its incident ends first"
        node = self.records.nodes.pop(name)
        self.records.cares.pop(name, None)
        self.records.turnarounds.pop(name, None)
        self.records.surroundings.pop(name, None)
        self.records.wear.pop(name, None)
        del self.held_on[name], self.promised_on[name]
        self.counts.note_play(node, -1)
        for counts, key in self._counts_of(node):
            counts[key] -= 1
            if not counts[key]:
                del counts[key]

    def pool_of(self, seats: tuple[Seat, ...]) -> Pool | None:
        """The pool of an attempt's or a promise's seats, which are all in one; None without."""
        if not seats:
            return None
        assert seats[0].node in self.records.nodes
        return self.records.pools[self.records.nodes[seats[0].node].pool]

    def _count_node(self, node: Node) -> None:
        """A node of a market's fabric, whatever its state."""
        assert node.market in self.records.markets and node.pool in self.records.pools
        for counts, key in self._counts_of(node):
            counts[key] = counts.get(key, 0) + 1
        self.counts.note_play(node, 1)

    def _counts_of(self, node: Node) -> tuple[tuple[dict[str, int], str], ...]:
        """The counts that a node is in, and its key in each."""
        fabrics = self.sizes.setdefault(node.market, {})
        return (fabrics, node.fabric), (self.pools_of.setdefault(node.market, {}), node.pool)

    def replace_node(self, node: Node) -> None:
        """Stores a record in place of the node's last."""
        self.counts.note_play(self.records.nodes[node.node], -1)
        self.records.nodes[node.node] = node
        self.counts.note_play(node, 1)

    def put_workload(self, workload: Workload) -> None:
        """Stores a record. Cost grows with its seats and those it had, where these changed."""
        assert not workload.phase.is_ended or workload.attempt is None
        before = self.records.workloads.get(workload.workload)
        if before is not None:
            self._unindex_workload(before, workload)
        self.records.workloads[workload.workload] = workload
        self.members.put(before, workload)
        self._index_workload(workload, before)

    def with_lists(self) -> list[Workload]:
        """Live workloads that name several capacities or markets, in the order of `live`."""
        listed, workloads = self.listed, self.records.workloads
        return [workloads[name] for name in self.live if name in listed] if listed else []

    def forget_workload(self, workload: str) -> None:
        """Drops the record of a workload that ended."""
        record = self.records.workloads.pop(workload)
        assert record.phase.is_ended and record.attempt is None and record.promise is None

    def put_claim(self, claim: Claim) -> None:
        """Stores a record."""
        self.drop_claim(claim.claim)
        self.records.claims[claim.claim] = claim
        self._index_claim(claim)

    def drop_claim(self, claim: str) -> None:
        """Drops a claim and frees its seats; nothing happens if there is none."""
        before = self.records.claims.pop(claim, None)
        if before is not None:
            self._take_seats(self.held_on, claim, before.held)
            self._take_seats(self.promised_on, claim, before.promised)

    def org_of(self, holder: str) -> str:
        """The org of a workload or a claim."""
        claim = self.records.claims.get(holder)
        return claim.org if claim is not None else self.records.workloads[holder].org

    def open_incident(self, node: str) -> Incident | None:
        """The node's open incident."""
        care = self.records.cares.get(node)
        if care is None or care.incident is None:
            return None
        return self.records.incidents[care.incident]

    def put_reservation(self, reservation: Reservation) -> None:
        """Stores a record."""
        self.records.reservations[reservation.reservation] = reservation
        self.agenda.add(Entry.RESERVATION, reservation.reservation)

    def wake_disabled(self, org: str) -> None:
        """An org was disabled: what it has ends. Cost grows with that and with all claims."""
        for name in self.live_of_org.get(org, {}):
            self.agenda.add(Entry.DISABLED, name)
        for claim in self.records.claims.values():
            if claim.org == org:
                self.agenda.add(Entry.DISABLED, claim.claim)

    def wake_promises(self, node: str) -> None:
        """Something about a node changed that its promises, or its repair, wait for."""
        if node in self.records.cares:
            self.agenda.add(Entry.REPAIR, node)
        self._wake_sanitising(node)
        for holder in self.promised_on[node]:
            self.agenda.add(Entry.LAUNCH, holder)
            self.agenda.add(Entry.OVERDUE, holder)

    def wake_all(self) -> None:
        """All that may be due by itself is looked at again, as after a restart: terms changed, and
        with them when it is due. Cost grows with the world."""
        for workload in self.records.workloads.values():
            wake_workload(self.agenda, workload)
        for claim in self.records.claims.values():
            wake_claim(self.agenda, claim)
        for reservation in self.records.reservations:
            self.agenda.add(Entry.RESERVATION, reservation)
        for window in self.records.maintenance:
            self.agenda.add(Entry.MAINTENANCE, window)
        for node in self.records.nodes:
            self._wake_sanitising(node)

    def _wake_sanitising(self, node: str) -> None:
        """It may have to be made clean for another org, where its pool's agent can do that."""
        pool = self.records.nodes[node].pool
        if RepairKind.SANITISE in self.records.repair_kinds.get(pool, ()):
            self.agenda.add(Entry.SANITISE, node)

    def _index_workload(self, workload: Workload, before: Workload | None = None) -> None:
        """`before`: the record in its place, unindexed."""
        name = workload.workload
        for waiter in self.waiters.get(name, ()):
            self.agenda.add(Entry.DEPENDENCY, waiter)
        if workload.member_of is not None or workload.array is not None:
            self.agenda.add(Entry.MEMBERS, workload.member_of or name)
        wake_workload(self.agenda, workload)
        if workload.phase.is_ended:
            self.live.pop(name, None)
            self.listed.pop(name, None)
            self.live_of_org.get(workload.org, {}).pop(name, None)
            return
        self.live[name] = None
        self.live_of_org.setdefault(workload.org, {})[name] = None
        if workload.spec.choices or workload.spec.entries:
            self.listed[name] = None
        else:
            self.listed.pop(name, None)
        if workload.attempt is not None and not _keeps_attempt(before, workload):
            self._give_seats(self.held_on, name, workload.attempt.seats)
        if workload.promise is not None and not _keeps_promise(before, workload):
            self._give_seats(self.promised_on, name, workload.promise.seats)
        for each in workload.waits_for:
            self.waiters.setdefault(each.workload, {})[name] = None

    def _unindex_workload(self, workload: Workload, after: Workload) -> None:
        """`after`: the record that takes its place."""
        if workload.phase.is_ended:
            return
        name = workload.workload
        for other in {each.workload for each in workload.waits_for}:
            self.waiters[other].pop(name, None)
            if not self.waiters[other]:
                del self.waiters[other]
        if workload.attempt is not None and not _keeps_attempt(workload, after):
            self._take_seats(self.held_on, name, workload.attempt.seats)
        if workload.promise is not None and not _keeps_promise(workload, after):
            self._take_seats(self.promised_on, name, workload.promise.seats)

    def _index_claim(self, claim: Claim) -> None:
        assert claim.seated_us is None or claim.seats, "seated without seats"
        self._give_seats(self.held_on, claim.claim, claim.held)
        self._give_seats(self.promised_on, claim.claim, claim.promised)
        wake_claim(self.agenda, claim)

    def _give_seats(
        self, index: dict[str, dict[str, int]], holder: str, seats: tuple[Seat, ...]
    ) -> None:
        for seat in by_node(seats):
            assert holder not in index[seat.node], f"{holder} holds {seat.node} twice"
            index[seat.node][holder] = seat.gpus
            if index is self.held_on:
                self._count_spot(holder, seat.node, 1)
            if index is self.promised_on:
                self._wake_sanitising(seat.node)

    def _take_seats(
        self, index: dict[str, dict[str, int]], holder: str, seats: tuple[Seat, ...]
    ) -> None:
        for seat in by_node(seats):
            if index[seat.node].pop(holder, None) is not None:
                if index is self.held_on:
                    self._count_spot(holder, seat.node, -1)
                self.wake_promises(seat.node)

    def _count_spot(self, holder: str, node: str, by: int) -> None:
        workload = self.records.workloads.get(holder)
        if workload is not None and workload.spec.capacity.kind is CapacityKind.SPOT:
            self.counts.note_spot(self.records.nodes[node], by)


def _keeps_attempt(before: Workload | None, after: Workload) -> bool:
    """Whether the attempt is the very same, so that nothing that waits for its seats wakes."""
    return before is not None and before.attempt is after.attempt and before.spec is after.spec


def _keeps_promise(before: Workload | None, after: Workload) -> bool:
    """As `_keeps_attempt`, of its promise."""
    is_same = before is not None and before.promise is after.promise and before.spec is after.spec
    return is_same and not after.phase.is_ended
