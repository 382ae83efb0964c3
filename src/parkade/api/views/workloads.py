"""Workloads as their org sees them: never who set a price, only what it was."""

from collections.abc import Collection, Sequence
from decimal import Decimal

import msgspec

from parkade.api.translate import amount, amount_or_none, instant, instant_or_none, wire_spec
from parkade.api.views.clearings import node_names
from parkade.api.views.costs import workload_cost
from parkade.api.views.moves import says_move
from parkade.core.billing.holds import promised_wait_micros
from parkade.core.billing.metering import accrued_with_members_micros
from parkade.core.billing.minimum import debt_micros
from parkade.core.clearing.plan import Plan
from parkade.core.fleet.market import MarketTerms
from parkade.core.fleet.pool import Pool
from parkade.core.fleet.seat import Seat
from parkade.core.running.expiry import folder_due_us
from parkade.core.running.falling_back import fallback_due_us
from parkade.core.state.world import World
from parkade.core.units.indexes import count, written
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import some_of
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.workload import Attempt, Rate, Stop, Workload
from parkade.ports import Trouble
from parkade.wire import workloads as wire

# One sentence for each `why` that somebody waits for; others are shown as they stand.
SENTENCES: dict[str, str] = {
    Why.NEXT_CLEARING: "the next clearing decides",
    Why.PLACED: "its seats are promised and not free yet",
    Why.HELD: "it is held; release it",
    Why.DEPENDENCY: "others have to start or end first",
    Why.DEPENDENCY_FAILED: "what it waited for can no longer come about",
    Why.BACK_OFF: "it left its seats early several times and waits before it is tried again",
    Why.NO_ROOM: "no fabric has room for its whole shape",
    Why.OUTBID: "others bid more for the room that there is",
    Why.BELOW_FLOOR: "its limit is below what the capacity goes for at least",
    Why.PROTECTED: "the room is held by workloads that may run for the market's min_runtime first",
    Why.RESERVATION_FULL: "its org uses all of the reservation already",
    Why.RESERVATION_NOT_IN_FORCE: "its reservation has not begun, or is over",
    Why.INSUFFICIENT_FUNDS: "its account cannot set aside what the next minutes may cost",
    Why.USER_CAP: "its user's cap leaves less than the next minutes may cost",
    Why.ORG_CAP: "its org's cap leaves less than the next minutes may cost",
    Why.USER_GPUS: "its user holds as many GPUs as its cap allows, or too many for this one",
    Why.ORG_GPUS: "its org holds as many GPUs as its cap allows, or too many for this one",
    Why.ORG_STARTS: "its org started as many in this minute as it may",
    Why.MAX_SPEND: "its max_spend leaves less than the next minutes may cost; parkade change raises"
    " it",
    Why.MAX_DURATION: "it reached its max_duration",
    Why.RESERVATION_ENDED: "its reservation ended",
    Why.CANCELLED: "it was cancelled",
    Why.FAILED: "it failed",
    Why.SUCCEEDED: "it is done",
    Cause.OUTBID: "others bid more for the room that there is",
    Cause.RECLAIMED: "the owner of its seats came back",
    Cause.MOVED: "it is moved to other seats",
    Cause.RESIZED: "it restarts on more nodes",
    Cause.HEALED: "a node of it broke",
    Cause.BUDGET: "it cannot pay for the next minutes, or is beyond a cap",
    Cause.OPERATOR: "the operator told it to leave",
    Cause.EXPIRED: "its time is over",
    Cause.LAPSED: "the control plane was silent for its lease",
    Cause.NOT_STARTED: "no process of it started within the market's start limit",
}


FURTHEST = (Phase.RUNNING, Phase.STARTING, Phase.PLACED)
"""What an array is shown as, where one of its members is there; the first comes first."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A workload with what its answer needs beside it, as of an instant; all of it frozen."""

    workload: Workload
    terms: MarketTerms | None
    is_reachable: bool

    pool: str | None
    """Where its seats are or were promised."""

    accrued_micros: int
    debt_micros: int
    folder_until_us: int | None

    falls_back_us: int | None
    """When spot work with a deadline becomes on-demand."""

    now_us: int

    phase: Phase
    """As it is shown: an array runs while a member does."""

    open_members: tuple[tuple[Phase, int], ...] = ()
    """Of an array: how many open ones are in which phase."""

    protected_until_us: int | None = None
    """Until when no bid takes its seats; None where any higher one does."""


def known(world: World, workload: Workload, now_us: int) -> Known:
    """Cheap enough for the writer's thread; the answer is made elsewhere."""
    market = world.records.markets.get(workload.market)
    held = workload.attempt or workload.promise
    pool = world.pool_of(held.seats) if held is not None else None
    return Known(
        workload=workload,
        terms=market.terms if market else None,
        is_reachable=pool is None or pool.is_reachable,
        accrued_micros=accrued_with_members_micros(world, workload, now_us),
        pool=None if pool is None else pool.pool,
        debt_micros=_debt_micros(world, workload, now_us) if market else 0,
        folder_until_us=folder_due_us(world, workload),
        falls_back_us=fallback_due_us(world, workload) if market else None,
        now_us=now_us,
        phase=shown_phase(world, workload),
        open_members=tuple(world.members.of(workload.workload).phases.items()),
        protected_until_us=_protected_until_us(world, workload, now_us),
    )


def _protected_until_us(world: World, workload: Workload, now_us: int) -> int | None:
    """None as well while a node of it is closed."""
    attempt = workload.attempt
    if attempt is None:
        return None
    nodes = (world.records.nodes[seat.node] for seat in attempt.seats)
    until_us = attempt.keeps_seats_until_us(workload.spec.limit_price_micros, now_us)
    return until_us if until_us is not None and all(it.is_open for it in nodes) else None


def _debt_micros(world: World, workload: Workload, now_us: int) -> int:
    """What giving its seats up costs now: for others that had to leave, or for idle seats."""
    idle = promised_wait_micros(workload, now_us)
    return debt_micros(world, workload, now_us) + idle


def shown_phase(world: World, workload: Workload) -> Phase:
    """Its phase; of an array that lives, the furthest of its open members."""
    if workload.array is None or workload.phase is not Phase.QUEUED:
        return workload.phase
    phases = world.members.of(workload.workload).phases
    return next((it for it in FURTHEST if it in phases), workload.phase)


def workload(known: Known) -> wire.Workload:
    """Everything shown of a workload."""
    workload, spec = known.workload, known.workload.spec
    rate = _rate(workload, known.now_us)
    return wire.Workload(
        workload=workload.workload,
        name=spec.name,
        org=workload.org,
        user=workload.user,
        market=workload.market,
        phase=known.phase.value,
        is_reachable=known.is_reachable,
        why=workload.why,
        nodes=workload.ranks,
        gpus=spec.gpus,
        capacity=str(spec.capacity),
        limit_price=amount_or_none(spec.limit_price_micros),
        price=None if rate is None else amount(rate.price_micros),
        node_prices=() if rate is None else tuple(amount(it) for it in rate.node_prices),
        price_to_win=_hint(workload),
        spent=amount(workload.spent_micros + known.accrued_micros),
        falls_back=instant_or_none(known.falls_back_us),
        protected_until=instant_or_none(known.protected_until_us),
        debt=amount_or_none(known.debt_micros or None),
        submitted=instant(workload.submitted_us),
        not_before=instant_or_none(workload.not_before_us),
        ended=instant_or_none(workload.ended_us),
        folder_until=instant_or_none(known.folder_until_us),
        failures=workload.failures,
        preemptions=workload.preemptions,
        checkpoint_step=workload.checkpoint_step,
        exit=workload.exit_summary,
        attempts=workload.generation,
        exit_code=workload.exit_code,
        moved=_move(workload, workload.org),
        attempt=workload.attempt and _attempt(workload.attempt),
        promised=seats(workload.promise.seats) if workload.promise else (),
        members=_members(known),
        member_of=workload.member_of,
        index=workload.index,
        cost=workload_cost(spec, known.terms, workload.agreed_price_micros),
        spec=wire_spec(spec).model_copy(update={"market": workload.market}),
    )


def _members(known: Known) -> wire.Members | None:
    state, terms = known.workload.array, known.workload.spec.array
    if state is None or terms is None:
        return None
    return wire.Members(
        total=count(terms.members),
        most_running=terms.most_running,
        waiting=count(state.waiting),
        open={phase.value: members for phase, members in known.open_members},
        succeeded=count(state.succeeded),
        failed=count(state.failed),
        cancelled=count(state.cancelled),
        expired=count(state.expired),
        failed_members=written(state.failed),
    )


def _rate(workload: Workload, now_us: int) -> Rate | None:
    rates: tuple[Rate, ...] = ()
    if workload.attempt is not None:
        rates = workload.attempt.rates
    elif workload.promise is not None:
        rates = workload.promise.rates
    begun = [rate for rate in rates if rate.from_us <= now_us]
    return begun[-1] if begun else next(iter(rates), None)


def seats(seats: tuple[Seat, ...]) -> tuple[wire.Seat, ...]:
    """Seats."""
    return tuple(wire.Seat(node=seat.node, gpus=seat.gpus) for seat in seats)


def _attempt(attempt: Attempt) -> wire.Attempt:
    return wire.Attempt(
        attempt=attempt.attempt,
        generation=attempt.generation,
        seats=seats(attempt.seats),
        ordered=instant(attempt.ordered_us),
        started=instant_or_none(attempt.started_us),
        stop=attempt.stop and _stop(attempt.stop),
        checkpoint_step=attempt.checkpoint_step,
        checkpoint=instant_or_none(attempt.checkpoint_us),
    )


def _stop(stop: Stop) -> wire.Stop:
    return wire.Stop(
        noticed=instant(stop.noticed_us),
        deadline=instant(stop.deadline_us),
        kill=instant(stop.kill_us),
        cause=stop.cause.value,
    )


def standstill(
    world: World, market: str, refusing: Collection[str], workload: Workload | None = None
) -> str | None:
    """Why nothing starts in a market, or stops where a workload has its seats: no agent there is
    heard and obeys. Cost grows with the nodes."""
    held = workload and (workload.attempt or workload.promise)
    own = world.pool_of(held.seats) if held else None
    names = {node.pool: None for node in world.records.nodes.values() if node.market == market}
    pools = [own] if own is not None else [world.records.pools[name] for name in names]
    states = [(pool.pool, _trouble(pool, refusing)) for pool in pools]
    if not states or not all(trouble for _, trouble in states):
        return None
    told = "; ".join(f"the agent of {pool} {trouble}" for pool, trouble in states)
    return f"nothing starts there now: {told}"


def _trouble(pool: Pool, refusing: Collection[str]) -> str | None:
    if pool.pool in refusing:
        return "refuses this server's orders, as after a restore, until an operator has looked"
    if pool.is_reachable:
        return None
    return "was never heard" if pool.first_heard_us is None else "is silent"


UNSEEN = "its agent is there and does not see the pool"


def trouble(known: Known, troubles: Sequence[Trouble], *, sees_all: bool) -> str | None:
    """What keeps its attempt from starting, or its pool from being seen; `troubles`: as the pool's
    agent says. What is said of the pool is for those who see all: it may name a machine's files."""
    attempt = known.workload.attempt
    if attempt is None:
        return None
    own = next((one.says for one in troubles if one.attempt == attempt.attempt), None)
    of_pool = next((it.says for it in troubles if it.attempt is None and not it.is_note), None)
    if own is not None or of_pool is None:
        return own
    if sees_all:
        return of_pool
    return None if known.is_reachable else UNSEEN


def why(
    known: Known, *, standstill: str | None, sees_all: bool, trouble: str | None = None
) -> wire.Why:
    """Why it is where it is, and what would change it; `standstill`: why nothing starts now;
    `trouble`: what its agent says.

    `sees_all`: an operator, who is told for whom it is moved by name.
    """
    workload = known.workload
    moved = _move(workload, None if sees_all else workload.org)
    says = f"{_says_members(known) or _says(workload)}{_debt(known)}"
    if moved is not None:
        says = f"{says}; it was {moved}"
    if known.falls_back_us is not None:
        says = f"{says}; it {_falls_back_says(known.falls_back_us)}"
    if not known.is_reachable and not workload.phase.is_ended:
        now = "the agent is silent now" if trouble is None else f"now {trouble}"
        says = f"{says}, as its agent last reported; {now}"
        standstill = None
    elif trouble is not None and known.phase is Phase.STARTING:
        says = f"{says}; {trouble}"
    if standstill is not None and not workload.phase.is_ended:
        says = f"{says}; {standstill}"
    return wire.Why(
        workload=workload.workload,
        phase=known.phase.value,
        why=workload.why,
        says=says,
        price_to_win=_hint(workload),
        not_before=instant_or_none(workload.not_before_us),
        moved=moved,
    )


def _falls_back_says(at_us: int) -> str:
    begins = f"{instant(at_us):%Y-%m-%d %H:%M:%S} UTC"
    return f"becomes on-demand at {begins}, or later with each checkpoint"


def _says_members(known: Known) -> str:
    """Where the members of an array are; empty for all else, and once it has ended."""
    name, members = known.workload.workload, _members(known)
    if members is None or known.workload.phase is not Phase.QUEUED:
        return ""
    parts = [f"{number} {phase}" for phase, number in members.open.items()]
    parts += [f"{members.waiting} not open yet"] if members.waiting else []
    ended = {it: getattr(members, it) for it in ("succeeded", "failed", "cancelled", "expired")}
    parts += [f"{number} {word}" for word, number in ended.items() if number]
    words = ", ".join(parts)
    return f"{name} has {members.total} members: {words}; ask why of one, like {name}_{_one(known)}"


def _one(known: Known) -> int:
    terms = known.workload.spec.array
    assert terms is not None
    return terms.members[0][0]


def _says(workload: Workload) -> str:
    name, attempt = workload.workload, workload.attempt
    if workload.phase.is_ended:
        reasons = (SENTENCES.get(workload.why, workload.why), workload.exit_summary)
        return f"{name} {workload.phase}: " + "; ".join(reason for reason in reasons if reason)
    if attempt is not None and attempt.stop is not None:
        deadline = f"{instant(attempt.stop.deadline_us):%H:%M:%S} UTC"
        return f"{name} was told to leave by {deadline}: {attempt.stop.cause}"
    if attempt is not None:
        return f"{name} is {workload.phase} on {node_names(attempt.seats)}"
    if workload.promise is not None:
        wait = workload.promise.own_wait
        if wait is not None and wait.names:
            leaving = f"{some_of(wait.names, most=5)} has left"
            if workload.promise.owes_minimum:
                # Those may be of other orgs, which are not named.
                leaving = "what leaves for it is gone"
            return f"{name} waits until {leaving}; its idle seats count as held"
        return f"{name} has its seats promised and waits until they are free"
    is_held = workload.phase is Phase.HELD and workload.why != Why.DEPENDENCY
    key = Why.HELD if is_held else workload.why
    sentence = SENTENCES.get(key, key)
    if workload.waits_for:
        sentence += f": {some_of([str(it) for it in workload.waits_for], most=5)}"
    if key == Why.BACK_OFF:
        sentence += f", until {instant(workload.not_before_us):%H:%M:%S} UTC"
        sentence += f"; the last time: {workload.exit_summary}" if workload.exit_summary else ""
    return f"{name} waits: {sentence}{_advice(workload.price_to_win_micros)}"


def _move(workload: Workload, org: str | None) -> str | None:
    """Why it was moved to the seats that it has or is promised; None where it has none."""
    if workload.moved is None or (workload.attempt is None and workload.promise is None):
        return None
    return says_move(workload.moved, org)


def _debt(known: Known) -> str:
    if known.debt_micros == 0:
        return ""
    cost = f"giving its seats up now costs {format_amount(known.debt_micros)}"
    holder = known.workload.promise or known.workload.attempt
    has_displaced = holder is not None and holder.owes_minimum
    return f"; others were told to leave for it, so {cost}" if has_displaced else f"; {cost}"


def _hint(workload: Workload) -> Decimal | None:
    """The cheapest limit that would win, while that may still help."""
    return None if workload.phase.is_ended else amount_or_none(workload.price_to_win_micros)


def _advice(price_micros: int | None) -> str:
    return "" if price_micros is None else f"; a limit of {format_amount(price_micros)} would win"


def plan(
    plan: Plan, terms: MarketTerms, *, rendered: str | None, standstill: str | None
) -> wire.Plan:
    """What the next clearing would do; `standstill`: why nothing starts now."""
    wins = bool(plan.seats)
    if wins:
        nodes = node_names(plan.seats)
        others = "1 other" if plan.displaces == 1 else f"{plan.displaces} others"
        displaced = f"; {others} would be told to leave" if plan.displaces else ""
        price = format_amount(plan.price_micros)
        says = f"would run on {nodes} at {price} per GPU-hour{displaced}"
    else:
        sentence = SENTENCES.get(plan.why, SENTENCES[Why.NO_ROOM])
        says = f"would wait: {standstill or sentence}{_advice(plan.price_to_win_micros)}"
    if plan.falls_back_us is not None:
        says += f"; {_falls_back_says(plan.falls_back_us)}"
    return wire.Plan(
        market=plan.workload.market,
        would_win=wins,
        seats=seats(plan.seats),
        displaces=plan.displaces,
        price=amount(plan.price_micros) if wins else None,
        per_hour=amount(plan.rate_micros_per_hour) if wins else None,
        why=None if wins else plan.why,
        price_to_win=amount_or_none(plan.price_to_win_micros),
        falls_back=instant_or_none(plan.falls_back_us),
        fallback_cost=amount_or_none(plan.fallback_micros),
        says=says,
        rendered=rendered,
        cost=workload_cost(plan.workload.spec, terms, plan.workload.agreed_price_micros),
    )
