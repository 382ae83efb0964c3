"""Workloads as their org sees them: never who set a price, only what it was."""

from decimal import Decimal

import msgspec

from parkade.api.translate.scalars import amount, amount_or_none, instant, instant_or_none
from parkade.api.translate.spec import wire_spec
from parkade.api.views.choices import market_answers
from parkade.api.views.costs import ended_cost, workload_cost
from parkade.api.views.moves import says_move
from parkade.core.billing.live_ranks import ending_debts_micros
from parkade.core.billing.metering import accrued_with_members_micros
from parkade.core.billing.minimum import debt_micros
from parkade.core.billing.slow_starts import promised_wait_micros
from parkade.core.fleet.market import Market
from parkade.core.fleet.pool import Pool
from parkade.core.fleet.seat import Seat
from parkade.core.running.expiry import folder_due_us
from parkade.core.running.falling_back import fallback_due_us
from parkade.core.running.promises import is_untold, untold_until_us
from parkade.core.state.world import World
from parkade.core.units.indexes import count, written
from parkade.core.workloads.entries import is_on_demand
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Attempt, Rank, Rate, Stop, Workload
from parkade.wire import workloads as wire
from parkade.wire.model import trusted
from parkade.wire.spec import WorkloadSpec

FURTHEST = (Phase.RUNNING, Phase.STARTING, Phase.PLACED)
"""What an array is shown as, where one of its members is there; the first comes first."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A workload with what its answer needs beside it, as of an instant; all of it frozen."""

    workload: Workload
    market: Market | None
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

    untold_until_us: int | None = None
    """Until when live work waits for its agent to say what the engine can; None: it does not."""

    protected_until_us: int | None = None
    """Until when no bid takes its seats; None where any higher one does."""

    shortage: str | None = None
    """Of one that was just submitted: what money it lacks."""


def known(world: World, workload: Workload, now_us: int) -> Known:
    """Cheap enough for the writer's thread; the answer is made elsewhere."""
    market = world.records.markets.get(workload.market)
    held = workload.attempt or workload.promise
    pool = world.pool_of(held.seats) if held is not None else None
    return Known(
        workload=workload,
        market=market,
        is_reachable=pool is None or pool.is_reachable,
        accrued_micros=accrued_with_members_micros(world, workload, now_us),
        pool=None if pool is None else pool.pool,
        untold_until_us=_untold_until_us(world, workload, pool),
        debt_micros=_debt_micros(world, workload, now_us) if market else 0,
        folder_until_us=folder_due_us(world, workload),
        falls_back_us=fallback_due_us(world, workload) if market else None,
        now_us=now_us,
        phase=shown_phase(world, workload),
        open_members=tuple(world.members.of(workload.workload).phases.items()),
        protected_until_us=_protected_until_us(world, workload, now_us),
    )


def _untold_until_us(world: World, workload: Workload, pool: Pool | None) -> int | None:
    if pool is None or workload.attempt is not None or not is_untold(workload, pool):
        return None
    return untold_until_us(world, workload)


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
    attempt, terms = workload.attempt, world.records.markets[workload.market].terms
    ranks = 0
    if attempt is not None:
        ranks = ending_debts_micros(attempt, terms.minimum_charge_us, now_us)
    return debt_micros(world, workload, now_us) + idle + ranks


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
    terms = None if known.market is None else known.market.terms
    return trusted(
        wire.Workload,
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
        capacity_list=tuple(str(it) for it in spec.entries),
        limit_price=amount_or_none(spec.bid_limit_micros),
        price=None if rate is None else amount(rate.price_micros),
        node_prices=() if rate is None else tuple(amount(it) for it in rate.node_prices),
        price_to_win=cheapest_winning_limit(workload),
        spent=amount(workload.spent_micros + known.accrued_micros),
        falls_back=instant_or_none(known.falls_back_us),
        became_on_demand=instant_or_none(fell_back_us(workload)),
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
        shortage=known.shortage,
        exit_code=workload.exit_code,
        moved=moved_words(workload, workload.org),
        attempt=workload.attempt and _attempt(workload.attempt),
        promised=seats(workload.promise.seats) if workload.promise else (),
        members=array_members(known),
        member_of=workload.member_of,
        index=workload.index,
        markets=market_answers(workload),
        cost=ended_cost(spec, workload.spent_micros + known.accrued_micros)
        if workload.ended_us is not None
        else workload_cost(spec, terms, workload.on_demand_price_micros),
        spec=_spec(workload),
    )


def fell_back_us(workload: Workload) -> int | None:
    """When one with a deadline became on-demand; its deadline is kept in its record."""
    is_due = workload.spec.deadline is not None
    return workload.window_from_us if is_due and is_on_demand(workload) else None


def _spec(workload: Workload) -> WorkloadSpec:
    """What was submitted, with its market unless it names several."""
    return wire_spec(workload.spec, market=None if workload.spec.choices else workload.market)


def array_members(known: Known) -> wire.Members | None:
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
        ranks=tuple(_rank(it) for it in attempt.ranks),
    )


def _rank(rank: Rank) -> wire.AttemptRank:
    return wire.AttemptRank(
        rank=rank.rank,
        node=rank.seat.node,
        gpus=rank.seat.gpus,
        joined=instant(rank.joined_us),
        begun=instant_or_none(rank.begun_us),
        leaves=None if rank.leaving is None else _stop(rank.leaving.stop),
    )


def _stop(stop: Stop) -> wire.Stop:
    return wire.Stop(
        noticed=instant(stop.noticed_us),
        deadline=instant(stop.deadline_us),
        kill=instant(stop.kill_us),
        cause=stop.cause.value,
    )


def moved_words(workload: Workload, org: str | None) -> str | None:
    """Why it was moved to the seats that it has or is promised; None where it has none."""
    if workload.moved is None or (workload.attempt is None and workload.promise is None):
        return None
    return says_move(workload.moved, org)


def cheapest_winning_limit(workload: Workload) -> Decimal | None:
    """The cheapest limit that would win, while that may still help."""
    return None if workload.phase.is_ended else amount_or_none(workload.price_to_win_micros)
