"""The canonical form of a state, and its digest: states of one form are searched once.

What is left out or renamed, and why that is allowed. *Exact*: no decision distinguishes the two
states. *Bound*: a decision may, so that something is left unsearched.

    exact   instants count from now; one that is past and only ever compared with now is 0
    exact   ids: what is alive stands in order of its age, which is all that an id decides
    exact   what has ended (its record decides nothing), exit texts, counters, sequence, epoch
    exact   prices, shares, the ladder, statistics of waits: they follow from the seats and limits,
            and nothing is decided by them but the floor of a closed node, which is kept
    bound   money: every balance is ample, so no bid lacks its earmark; what an org used in seven
            days is kept as its rank among the orgs
    bound   nodes of one fabric in equal state are one: where the program breaks a tie by the name
            of a node, the other choice is not searched
    bound   orgs in equal roles are one (`Scenario.twins`), for the same reason
    bound   a kill is past for good once the release grace after it is over

`tests/sim/check/test_canonical.py` measures the bounds: it takes pairs of states that were merged
and compares all that may follow from either.

The form is one pass: a node's part names each holder by its age and rank, so two nodes of a fabric
that have equal parts are both empty and may stand in any order.
"""

from functools import cache
from hashlib import blake2b
from typing import Any

import msgspec

from parkade.core.billing.minimum import owed_us
from parkade.core.fleet.node import Health, Node
from parkade.core.fleet.seat import Seat
from parkade.core.reservations.reservation import Claim
from parkade.core.running.overdue import OVERDUE
from parkade.core.state.world import World
from parkade.core.steps.rights import started_nodes
from parkade.core.workloads.dependency import Dependency
from parkade.core.workloads.life import Why
from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Debt, Promise, Stop, Workload
from parkade.sim.check import changes, jobs, live, rights, windows
from parkade.sim.check.agents import AgentSide, clocks_of
from parkade.sim.check.arrays import youngest
from parkade.sim.check.scenarios import TICK_US, Asks, Scenario
from parkade.sim.check.state import State

_encode = msgspec.msgpack.Encoder().encode
_SAME: dict[str, str] = {}

_CHANGES = Asks.RESUBMITS | Asks.CAPS

QUICK_RUNS = 10
_UNTOUCHED: tuple[Any, ...] = (Health.HEALTHY, False, [], False, False, 0, "", [], [], False)
"""The part of an open node on which nothing was yet, beside its fabric and name."""

_LONG_US = 20 * TICK_US
"""What is further back is all the same: longer than any lease, silence or straggler."""


def digest_of(state: State, scenario: Scenario) -> int:
    """64 bits of the canonical form; with 10⁷ states two forms share one with a chance of 3 in a
    million. Never 0, which marks an empty place."""
    first, *others = _renamings(state, scenario)
    has_jobs = bool(jobs.ASKS & scenario.asks)
    form = encoded_form(state, first, has_jobs=has_jobs)
    for renaming in others:
        form = min(form, encoded_form(state, renaming))
    has_changes, has_spans = _adds(scenario.asks)
    if has_changes:
        form += _encode(changes.form_of_changes(state.world))
    if has_spans:
        form += _encode(windows.form_of_spans(state.world, state.now_us))
    return int.from_bytes(blake2b(form, digest_size=8).digest(), "little") or 1


@cache
def _adds(asks: Asks) -> tuple[bool, bool]:
    """Whether a form has changes, and spans, beside what each form has."""
    return bool(_CHANGES & asks), bool(windows.ASKS & asks)


def encoded_form(state: State, renaming: dict[str, str], *, has_jobs: bool = False) -> bytes:
    """The canonical form of the state with some orgs and reservations renamed. `has_jobs`: with
    its part of jobs."""
    return _encode(form_of(state, renaming, has_jobs=has_jobs))


def _renamings(state: State, scenario: Scenario) -> tuple[dict[str, str], ...]:
    """Those of which one gives the least form: where twins differ in what is seen at once, the one
    that puts the lesser first; where neither has anything that is named, any."""
    if not scenario.twins:
        has_rights = Asks.RIGHTS in scenario.asks
        return (rights.labels_of(state.world) if has_rights else _SAME,)
    (twin,) = scenario.twins
    first, second = (_at_a_glance(state, org) for org, _ in twin)
    if first != second:
        return (_SAME,) if first < second else (dict(twin),)
    return (_SAME,) if not first[0] else (_SAME, dict(twin))


def _at_a_glance(state: State, org: str) -> tuple[Any, ...]:
    """Some of what an org has, in words without names."""
    world = state.world
    records = world.records
    lent = records.reservations[org].lending
    claims = [
        (claim.nodes, len(claim.seats), claim.seated_us is not None, len(claim.replacements))
        for claim in records.claims.values()
        if claim.org == org
    ]
    work = [_work_at_a_glance(state, name) for name in world.live_of_org.get(org, ())]
    was_there = any(node.last_org == org for node in records.nodes.values())
    terms = (-1, 0) if lent is None else (lent.floor_micros, lent.keep)
    if not claims and not work and not was_there and org not in records.use_by_day:
        return (0, terms)
    return (1, terms, claims, work)


def _work_at_a_glance(state: State, name: str) -> tuple[Any, ...]:
    workload = state.world.records.workloads[name]
    attempt, promise = workload.attempt, workload.promise
    return (
        workload.phase,
        0 if attempt is None else len(attempt.seats),
        attempt is not None and attempt.started_us is not None,
        max(0, attempt.stop.deadline_us - state.now_us) if attempt and attempt.stop else -1,
        0 if promise is None else len(promise.seats),
        workload.failures,
        workload.preemptions,
    )


def form_of(state: State, renaming: dict[str, str], *, has_jobs: bool = False) -> tuple[Any, ...]:
    """Nested tuples, equal for states that are searched once."""
    world, now_us = state.world, state.now_us
    records = world.records
    rename = renaming.get
    alive = _by_age(world)
    place = {name: index for index, name in enumerate(alive)}
    started = started_nodes(world) if has_jobs else frozenset()
    nodes = [_node(state, node, place, rename, started) for node in records.nodes.values()]
    nodes.sort()
    number = {node[-1]: index for index, node in enumerate(nodes)}
    demands = []
    for name in alive:
        claim = records.claims.get(name)
        if claim is not None:
            demands.append(_claim(claim, number, rename))
        elif records.workloads[name].array is not None:
            demands.append(_array(world, records.workloads[name], number, rename, now_us))
        else:
            workload = records.workloads[name]
            form = _workload(world, workload, number, rename, now_us)
            if workload.member_of is not None:
                form = (place[workload.member_of], workload.index, *form)
            demands.append(form)
    reservations = rights.form_of_rights(records.reservations, renaming, now_us)
    return (
        [node[:-1] for node in nodes],
        demands,
        _just_submitted(state),
        reservations,
        [
            (pool.is_reachable, _since(pool.silent_since_us, now_us))
            for pool in records.pools.values()
        ],
        _use_ranks(world, rename),
        None if state.agent is None else _agent(state, state.agent, place, number),
        jobs.form_of_jobs(world, number, now_us) if has_jobs else None,
    )


def _node(
    state: State, node: Node, place: dict[str, int], rename: Any, started: frozenset[str]
) -> tuple[Any, ...]:
    """All of a node but its name, which comes last and is dropped once the nodes are in order."""
    world, name = state.world, node.node
    held, promised = world.held_on[name], world.promised_on[name]
    is_planned = bool(world.records.maintenance) and windows.is_planned(world, node)
    is_left = not (held or promised or is_planned or name in started)
    if is_left and node.last_org is None and node.is_open:
        return (node.fabric, *_UNTOUCHED, name)
    clean_us = 0
    last = ""
    if not held and node.last_org is not None:
        turnaround_us = world.records.markets[node.market].terms.turnaround_us
        clean_us = max(0, node.vacated_us + turnaround_us - state.now_us)
        last = rename(node.last_org, node.last_org) if clean_us else ""
    return (
        node.fabric,
        node.health,
        node.health_reason == OVERDUE,
        [windows.holder_of(cordon.holder) for cordon in node.cordons],
        is_planned,
        node.draining_us is not None,
        clean_us,
        last,
        sorted([(place[it], _rank(world, it, name, False)) for it in held]) if held else [],
        sorted([(place[it], _rank(world, it, name, True)) for it in promised]) if promised else [],
        name in started,
        name,
    )


def _since(at_us: int | None, now_us: int) -> int | None:
    return None if at_us is None else at_us - now_us


def _by_age(world: World) -> list[str]:
    """The ids of what is alive, and of the youngest array. Work on a reservation and claims stand
    in one order of age, for they meet in one tier; other work stands apart. A list stands with the
    first, and its form says which of the others are older."""
    records = world.records
    owned = [(claim.claimed_us, name) for name, claim in records.claims.items()]
    others = []
    for name in world.live:
        workload = records.workloads[name]
        if _may_use_a_right(workload):
            owned.append((workload.submitted_us, name))
        else:
            others.append(name)
    array = youngest(world)
    if array is not None and array.phase.is_ended:
        others.append(array.workload)  # It may be retried.
    if len(others) > 1:
        # What is retried or submitted again comes last, and after a restart where its record is.
        others.sort(key=_number)
    owned.sort()
    return [*(name for _, name in owned), *others]


def _number(name: str) -> tuple[int, int]:
    """`w7` before `w7_0`, `w7_1` and `w8`."""
    number, _, index = name[1:].partition("_")
    return int(number), int(index or -1)


def _just_submitted(state: State) -> int:
    """Work on reservations that was submitted at this very instant: a claim of the same instant
    would stand before it, a later one behind."""
    workloads = state.world.records.workloads
    return sum(
        workloads[name].submitted_us == state.now_us and _may_use_a_right(workloads[name])
        for name in state.world.live
    )


def _may_use_a_right(workload: Workload) -> bool:
    return workload.spec.capacity.kind is CapacityKind.RESERVATION or bool(workload.spec.entries)


def _form_of_list(world: World, workload: Workload) -> tuple[Any, ...]:
    """How many entries a list has, the limit of spot, and how many others that bid are older."""
    if not workload.spec.entries:
        return ()
    number = _number(workload.workload)
    others = (world.records.workloads[it] for it in world.live if _number(it) < number)
    older = sum(not _may_use_a_right(it) for it in others)
    kinds = tuple(it.kind for it in workload.spec.entries)
    return (kinds, workload.spec.spot_limit_micros, older)


def _rank(world: World, holder: str, node: str, is_promise: bool) -> int:
    """The first rank that a holder has on a node; further ones follow from its seats."""
    if holder in world.records.claims:
        return 0
    workload = world.records.workloads[holder]
    owner = workload.promise if is_promise else workload.attempt
    assert owner is not None
    for rank, seat in enumerate(owner.seats):
        if seat.node == node:
            return rank
    raise AssertionError(f"{holder} is indexed on {node} and has no seat there")


def _seats(seats: tuple[Seat, ...], number: dict[str, int]) -> list[int]:
    return [number[seat.node] for seat in seats]


def _claim(claim: Claim, number: dict[str, int], rename: Any) -> tuple[Any, ...]:
    return (
        rights.name_of(claim.reservation, rename),
        claim.nodes,
        sorted(_seats(claim.seats, number)),
        claim.seated_us is not None,
        sorted(number[it.seat.node] for it in claim.replacements),
        claim.short_gpus,
    )


def _workload(
    world: World, workload: Workload, number: dict[str, int], rename: Any, now_us: int
) -> tuple[Any, ...]:
    spec = workload.spec
    attempt, promise = workload.attempt, workload.promise
    reservation = spec.capacity.reservation
    return (
        rename(workload.org, workload.org),
        workload.market,
        workload.bids_in,
        [(it.market, it.limit_price_micros) for it in spec.choices],
        spec.capacity.kind,
        None if reservation is None else rights.name_of(reservation, rename),
        spec.nodes,
        spec.most_nodes,
        spec.gpus,
        spec.limit_price_micros,
        spec.max_duration_us,
        _form_of_list(world, workload),
        workload.phase,
        workload.why == Why.MAX_SPEND,
        workload.fabric,
        workload.failures,
        workload.preemptions,
        max(0, workload.attempts - workload.failures - workload.preemptions),
        max(0, workload.not_before_us - now_us),
        _since(workload.must_end_us, now_us),
        workload.short_gpus,
        [_dependency(world, it, number, rename, now_us) for it in workload.waits_for],
        workload.first_started_us is not None,
        workload.has_lost and _is_capped(world, workload),
        None if workload.fallback is None else windows.form_of_deadline(world, workload, now_us),
        None if attempt is None else _attempt(world, workload, attempt, number, now_us),
        None if promise is None else _promise(promise, number, now_us),
    )


def _is_capped(world: World, workload: Workload) -> bool:
    """Whether a cap of its org or user asks bids in turn: where none does, who lost decides
    nothing."""
    org, user = world.records.orgs[workload.org], world.records.users.get(workload.user)
    return org.cap is not None or (user is not None and user.cap is not None)


def _array(
    world: World, array: Workload, number: dict[str, int], rename: Any, now_us: int
) -> tuple[Any, ...]:
    """An array, also one that has ended. When it may open more is left out: that is now, or never
    before something else happens."""
    state, terms = array.array, array.spec.array
    assert state is not None and terms is not None
    return (
        rename(array.org, array.org),
        terms.members,
        terms.most_running,
        array.spec.limit_price_micros,
        array.phase,
        array.why,
        state.waiting,
        state.succeeded,
        state.failed,
        state.cancelled,
        state.expired,
        state.again,
        (state.limits, state.choice_limits),
        array.first_started_us is not None,
        [_dependency(world, it, number, rename, now_us) for it in array.waits_for],
    )


def _dependency(
    world: World, one: Dependency, number: dict[str, int], rename: Any, now_us: int
) -> tuple[Any, ...]:
    other = world.records.workloads[one.workload]
    return (one.condition, _workload(world, other, number, rename, now_us))


def _attempt(
    world: World, workload: Workload, attempt: Attempt, number: dict[str, int], now_us: int
) -> tuple[Any, ...]:
    terms = world.records.markets[workload.market].terms
    stop, started_us = attempt.stop, attempt.started_us
    early_us = QUICK_RUNS * (terms.notice_us + terms.kill_us)
    ran_us = None
    if started_us is not None:
        until_us = now_us if stop is None else min(now_us, stop.noticed_us)
        ran_us = min(until_us - started_us, early_us + 1)
        if stop is not None:
            ran_us = ran_us > early_us
    noticed = None
    if stop is not None:
        noticed = (
            stop.cause,
            max(0, stop.deadline_us - now_us),
            max(-terms.release_grace_us, stop.kill_us - now_us),
            (attempt.checkpoint_us or 0) > stop.noticed_us,
        )
    debt = None
    if attempt.displaced:
        late_us = terms.start_grace_us + attempt.silent_us
        debt = (
            _debt(attempt.debt, number, now_us),
            owed_us(workload, terms, now_us),
            max(0, attempt.ordered_us + late_us - now_us) if started_us is None else None,
        )
    lease = None
    if attempt.lease_us is not None:
        pool = world.pool_of(attempt.seats)
        silent_us = None if pool is None else pool.silent_since_us
        lease = None if silent_us is None else max(0, attempt.ordered_us - silent_us)
    return (
        _seats(attempt.seats, number),
        ran_us,
        noticed,
        attempt.broken_us is not None,
        attempt.checkpoint_us is not None,
        attempt.rates[-1].floor_micros if attempt.rates else None,
        debt,
        lease,
        None if attempt.admission is None else windows.form_of_admission(attempt, now_us),
        live.form_of_ranks(world, workload, attempt, now_us),
    )


def _promise(promise: Promise, number: dict[str, int], now_us: int) -> tuple[Any, ...]:
    return (
        _seats(promise.seats, number),
        promise.rates[-1].floor_micros if promise.rates else None,
        _debt(promise.debt, number, now_us) if promise.displaces else None,
        promise.own_wait is not None and bool(promise.own_wait.names),
    )


def _debt(debt: Debt | None, number: dict[str, int], now_us: int) -> tuple[Any, ...] | None:
    if debt is None:
        return None
    return (
        sorted([number[node] for node in debt.nodes if node in number]),
        max(0, debt.notice_ends_us - now_us),
        debt.is_paid,
        debt.is_due,
    )


def _agent(
    state: State, agent: AgentSide, place: dict[str, int], number: dict[str, int]
) -> tuple[Any, ...]:
    """The agent's side. Sequences are left out: no plane is put back here, so each state that is
    told is newer than the last. What the plane heard last is left out too: to hear it again
    changes nothing."""
    now_us = state.now_us
    workloads = state.world.records.workloads

    def known(attempt: str) -> tuple[int, int] | str:
        name, _, generation = attempt.rpartition(".")
        if name not in place:
            return attempt
        return place[name], workloads[name].generation - int(generation)

    desired = None
    if agent.desired is not None:
        desired = sorted(
            (str(known(it.attempt)), _order(it.stop, now_us)) for it in agent.desired.attempts
        )
    engine = sorted(
        (
            str(known(it.attempt)),
            it.phase,
            [number[seat.node] for seat in it.seats],
            -1 if it.code is None else it.code,
            _order(it.stop, now_us),
            _date(it.lapsed_us, now_us),
            _date(it.started_us, now_us),
            it.lease is not None,
            _date(it.released_us, now_us),
        )
        for it in agent.engine.values()
    )
    sent = None
    if agent.sent is not None:
        sent = (
            max(agent.sent.at_us - now_us, -_LONG_US),
            sorted(
                (str(known(it.attempt)), it.phase, *_dates(it, now_us))
                for it in agent.sent.attempts
            ),
        )
    return (
        desired,
        engine,
        sorted(map(str, map(known, agent.memory.refused))),
        sorted(map(str, map(known, agent.memory.ordered))),
        sorted(map(str, map(known, agent.reported))),
        max(agent.heard_us - now_us, -_LONG_US),
        sent,
        [max(us - now_us, -_LONG_US) for us in clocks_of(agent.intake)],
    )


def _dates(seen: ObservedAttempt, now_us: int) -> tuple[int, ...]:
    return tuple(
        _date(at_us, now_us) for at_us in (seen.started_us, seen.released_us, seen.lapsed_us)
    )


def _date(at_us: int | None, now_us: int) -> int:
    """How long ago; 1: never."""
    return 1 if at_us is None else max(at_us - now_us, -_LONG_US)


def _order(stop: Stop | None, now_us: int) -> tuple[int, ...]:
    if stop is None:
        return ()
    return max(0, stop.deadline_us - now_us), max(0, stop.kill_us - now_us)


def _use_ranks(world: World, rename: Any) -> list[Any]:
    """Orgs by what they used in the last days, equal ones together; a bound, for the amounts are
    left out."""
    used = sorted(
        (sum(days.values()), rename(org, org)) for org, days in world.records.use_by_day.items()
    )
    ranks: list[Any] = []
    before = 0
    for amount, org in used:
        if amount != before:
            ranks.append(None)
        ranks.append(org)
        before = amount
    return ranks
