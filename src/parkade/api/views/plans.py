"""What the next clearing would do with a workload that is not submitted."""

from parkade.api.translate.scalars import amount, amount_or_none, instant_or_none
from parkade.api.views.choices import market_answers, markets_words
from parkade.api.views.clearings import node_names
from parkade.api.views.costs import workload_cost
from parkade.api.views.reasons import SENTENCES, advice, falls_back_words
from parkade.api.views.shortages import FOR_MONEY
from parkade.api.views.workloads import seats
from parkade.core.clearing.plan import Plan
from parkade.core.fleet.market import Market
from parkade.core.units.indexes import count
from parkade.core.units.money import format_amount
from parkade.core.workloads.life import Why
from parkade.core.workloads.spec import Spec
from parkade.wire import workloads as wire


def plan(
    plan: Plan,
    market: Market,
    *,
    rendered: str | None,
    standstill: str | None,
    shortage: str | None,
) -> wire.Plan:
    """What the next clearing would do; `standstill`: why nothing starts now; `shortage`: what money
    it lacks."""
    wins = bool(plan.seats)
    markets = market_answers(plan.workload, won=plan.workload.market if wins else None)
    if wins:
        nodes = node_names(plan.seats)
        others = "1 other" if plan.displaces == 1 else f"{plan.displaces} others"
        displaced = f"; {others} would be told to leave" if plan.displaces else ""
        price = format_amount(plan.price_micros)
        capacity = _entry(plan.workload.spec)
        says = f"would run on {nodes}{capacity} at {price} per GPU-hour{displaced}"
    else:
        sentence = SENTENCES.get(plan.why, SENTENCES[Why.NO_ROOM])
        price_to_win = None if markets else plan.price_to_win_micros
        told = advice(price_to_win, market, plan.workload.spec.gpus)
        says = f"would wait: {standstill or sentence}{told}"
        says += f"; {shortage}" if shortage is not None and plan.why in FOR_MONEY else ""
    says += markets_words([it for it in markets if not it.has_seats])
    says += _of_array(plan.workload.spec)
    if plan.falls_back_us is not None:
        says += f"; {falls_back_words(plan.falls_back_us)}"
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
        markets=markets,
        rendered=rendered,
        cost=workload_cost(plan.workload.spec, market.terms, plan.workload.on_demand_price_micros),
    )


def _entry(spec: Spec) -> str:
    """Of a list, the entry that it would use."""
    return f" as {spec.capacity}" if spec.entries else ""


def _of_array(spec: Spec) -> str:
    """Of an array's plan, which is that of one member."""
    if spec.array is None:
        return ""
    members, at_once = count(spec.array.members), spec.array.most_running
    says = f"; this is of one member of {members:,}"
    return says if at_once is None else f"{says}, of which {at_once:,} run at once at most"
