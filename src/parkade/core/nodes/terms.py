"""Terms and prices of a market: changed now or announced for a date, and when that date comes."""

import msgspec
from msgspec.structs import replace

from parkade.core.fleet.buffer import BufferGrowth, BufferPolicy, BufferShare
from parkade.core.fleet.market import AnnouncedTerms, Market, MarketTerms
from parkade.core.nodes.effects import with_prices_of
from parkade.core.reservations.calendar import peak_nodes
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import sold
from parkade.core.steps.refusals import (
    Decision,
    conflict,
    invalid,
    not_found,
)
from parkade.core.units import bounds
from parkade.core.units.money import format_amount
from parkade.core.units.names import NAME
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US, Window
from parkade.core.workloads.choices import markets_of

MAY_BE_OFF = frozenset(
    field.name for field in msgspec.structs.fields(MarketTerms) if field.default is None
)
"""The terms that a market need not have."""


def change_terms(world: World, command: commands.ChangeTerms, now_us: int) -> Decision:
    """New terms now or from a date on. Time that workloads are promised when they must leave is
    shortened only with as much time ahead as the present terms promise."""
    market = world.records.markets.get(command.market)
    if market is None:
        return not_found("market", command.market)
    if market.announced:
        return conflict("other terms are announced already; change them after they are in force")
    for field in command.change.off:
        if field not in MAY_BE_OFF:
            return invalid(f"terms.{field}", "every market has it; leave it out to keep it")
    terms = replace(market.terms, **command.change.given)
    if (refusal := bad_terms(terms)) is not None:
        return refusal
    if terms == market.terms:
        return ()
    if (refusal := _is_buffer_sold(world, market, terms.buffer_nodes)) is not None:
        return refusal
    if (refusal := _is_storage_used(world, market, terms)) is not None:
        return refusal
    from_us = now_us if command.from_us is None else max(now_us, command.from_us)
    present = market.terms
    is_shorter = terms.notice_us < present.notice_us or terms.kill_us < present.kill_us
    if is_shorter and from_us < now_us + present.notice_us + present.kill_us:
        ahead_s = -(-(present.notice_us + present.kill_us) // SECOND_US)
        return invalid(
            "from",
            "shorter times begin once the present notice and kill ran out: write `from:` beside"
            f" them, an instant at least {ahead_s} s ahead",
        )
    if from_us == now_us:
        return (events.TermsChanged(at_us=now_us, market=market.market, terms=terms),)
    announced = AnnouncedTerms(from_us=from_us, terms=terms)
    return (events.TermsAnnounced(at_us=now_us, market=market.market, announced=announced),)


def _is_buffer_sold(world: World, market: Market, buffer_nodes: int) -> Refusal | None:
    assert buffer_nodes >= 0
    if buffer_nodes <= market.terms.buffer_nodes:
        return None
    always = Window(start_us=0, end_us=None)
    entries = sold(world, market)
    for fabric, nodes in world.sizes[market.market].items():
        if peak_nodes(entries, fabric, always) > max(0, nodes - buffer_nodes):
            return conflict(f"so large a buffer was sold already in fabric {fabric!r}")
    return None


def _is_storage_used(world: World, market: Market, terms: MarketTerms) -> Refusal | None:
    """Open workloads keep the file systems that they named. Cost grows with the workloads, where
    one is taken away."""
    gone = set(market.terms.file_systems) - set(terms.file_systems)
    if not gone:
        return None
    for workload in world.records.workloads.values():
        used = gone.intersection(workload.spec.storage)
        if used and market.market in markets_of(workload) and not workload.phase.is_ended:
            return conflict(f"workload {workload.workload} needs file system {min(used)!r}")
    return None


def terms_due_us(market: Market) -> int | None:
    """When the next announced terms come into force; None where none are announced."""
    return market.announced[0].from_us if market.announced else None


def take_terms(market: Market, at_us: int) -> tuple[events.TermsChanged, ...]:
    """The announced terms come into force, at the prices of the day."""
    assert market.announced and market.announced[0].from_us <= at_us
    terms = with_prices_of(market.announced[0].terms, market.terms)
    return (events.TermsChanged(at_us=at_us, market=market.market, terms=terms),)


def bad_terms(terms: MarketTerms) -> Refusal | None:
    """The refusal of terms outside their bounds, with the place; None where all are inside."""
    if not terms.fee.is_fee:
        return invalid("terms.fee", "the fee is at least 0 and less than 1, such as 2/7")
    if not terms.switching_credit.is_share:
        return invalid("terms.switching_credit", "the switching credit is 0 to 1, such as 1/20")
    if not bounds.NODES_KEPT.holds(terms.buffer_nodes):
        most = bounds.NODES_KEPT.most
        return invalid("terms.buffer_nodes", f"0 to {most} nodes a fabric")
    if (refusal := _bad_buffer(terms.buffer)) is not None:
        return refusal
    for field in ("pay_as_you_go", "reservation_rate", "public_floor"):
        if not bounds.PRICE_MICROS.holds(getattr(terms, f"{field}_micros")):
            return invalid(f"terms.{field}_micros", "a price is 0 to 1,000,000 per GPU-hour")
    if terms.payout_cap is not None and not terms.payout_cap.is_bounded:
        return invalid("terms.payout_cap", "a payout cap is a fraction of at least 0, such as 1")
    if terms.window_deposit is not None and not terms.window_deposit.is_share:
        return invalid(
            "terms.window_deposit", "a deposit is 0 to 1 of the time ahead, such as 1/10"
        )
    if not bounds.FILE_SYSTEMS.holds(len(terms.file_systems)):
        return invalid("terms.file_systems", f"at most {bounds.FILE_SYSTEMS.most} file systems")
    if any(not NAME.accepts(name) for name in terms.file_systems):
        return invalid("terms.file_systems", NAME.words)
    for field, within in bounds.TERMS_US.items():
        span_us = getattr(terms, f"{field}_us")
        if span_us is not None and not within.holds(span_us):
            least = "longer than 0" if within.least else "0 or longer"
            return invalid(f"terms.{field}_us", f"this must be {least}, and at most 100 years")
    return None


def _bad_buffer(policy: BufferPolicy | None) -> Refusal | None:
    match policy:
        case BufferShare(share=share) if not share.is_share:
            return invalid("terms.buffer.share", "a share is 0 to 1, such as 1/20")
        case BufferGrowth(quantile=quantile) if not quantile.is_fee or not quantile.numerator:
            return invalid("terms.buffer.quantile", "a quantile lies between 0 and 1, as 99/100")
        case BufferGrowth(horizon_us=horizon_us) if not bounds.BUFFER_HORIZON_US.holds(horizon_us):
            return invalid("terms.buffer.horizon", "the horizon is 1 hour to 30 days")
        case _:
            return None


def set_prices(world: World, command: commands.SetPrices, now_us: int) -> Decision:
    """A new price sheet, for what is sold and cleared from now on."""
    market = world.records.markets.get(command.market)
    if market is None:
        return not_found("market", command.market)
    terms = market.terms
    given = {
        "pay_as_you_go": command.pay_as_you_go_micros,
        "reservation_rate": command.reservation_rate_micros,
        "public_floor": command.public_floor_micros,
    }
    for field, micros in given.items():
        if micros is not None and not bounds.PRICE_MICROS.holds(micros):
            return invalid(field, "a price is 0 to 1,000,000 per GPU-hour")
    event = events.PricesSet(
        at_us=now_us,
        market=market.market,
        pay_as_you_go_micros=_or(command.pay_as_you_go_micros, terms.pay_as_you_go_micros),
        reservation_rate_micros=_or(command.reservation_rate_micros, terms.reservation_rate_micros),
        public_floor_micros=_or(command.public_floor_micros, terms.public_floor_micros),
    )
    changed = {command.pay_as_you_go_micros, command.public_floor_micros} - {None}
    if changed and not command.is_meant:
        return _refuse_on_demand_below_floor(event) or (event,)
    return (event,)


def _refuse_on_demand_below_floor(sheet: events.PricesSet) -> Refusal | None:
    """The refusal of a sheet by which on-demand costs less than the public floor of spot, so that
    the dearer product would be the one that is taken away. Floors of lenders are theirs."""
    if sheet.pay_as_you_go_micros >= sheet.public_floor_micros:
        return None
    return invalid(
        "pay_as_you_go",
        f"on-demand would cost {format_amount(sheet.pay_as_you_go_micros)}, less than the public"
        f" floor of {format_amount(sheet.public_floor_micros)}, so no one would bid for spot;"
        " choose other prices, or say --anyway (is_meant in the API)",
    )


def _or(given: int | None, present: int) -> int:
    return present if given is None else given
