"""Between the wire's terms of a market and the core's."""

from datetime import timedelta

from parkade.api.translate.scalars import amount, micros, microseconds, span, span_us
from parkade.core.fleet.buffer import BufferGrowth, BufferPolicy, BufferShare
from parkade.core.fleet.market import MarketTerms
from parkade.core.state import commands
from parkade.core.units.fraction import Fraction, parse_fraction
from parkade.wire import pools as wire


def change_terms(body: wire.ChangeTerms, *, by: str, market: str) -> commands.ChangeTerms:
    """The command that changes a market's terms."""
    return commands.ChangeTerms(
        by=by,
        market=market,
        from_us=None if body.from_ is None else microseconds(body.from_),
        change=commands.TermsChange(
            fee=_fraction_or_none(body.fee),
            switching_credit=_fraction_or_none(body.switching_credit),
            notice_us=_span_us_or_none(body.notice),
            heal_notice_us=_span_us_or_none(body.heal_notice),
            kill_us=_span_us_or_none(body.kill),
            turnaround_us=_span_us_or_none(body.turnaround),
            start_grace_us=_span_us_or_none(body.start_grace),
            minimum_charge_us=_span_us_or_none(body.minimum_charge),
            release_grace_us=_span_us_or_none(body.release_grace),
            clearing_interval_us=_span_us_or_none(body.clearing_interval),
            clearing_pause_us=_span_us_or_none(body.clearing_pause),
            billing_period_us=_span_us_or_none(body.billing_period),
            backoff_us=_span_us_or_none(body.backoff),
            retention_us=_span_us_or_none(body.retention),
            buffer_nodes=body.buffer_nodes,
            buffer=_buffer(body.buffer),
            agent_lease_us=_span_us_or_none(body.agent_lease),
            start_limit_us=_span_us_or_none(body.start_limit),
            payout_cap=_fraction_or_none(body.payout_cap),
            window_deposit=_fraction_or_none(body.window_deposit),
            assemble_us=_span_us_or_none(body.assemble),
            regrow_us=_span_us_or_none(body.regrow),
            folder_retention_us=_span_us_or_none(body.folder_retention),
            min_runtime_us=_span_us_or_none(body.min_runtime),
            shared_nodes=body.shared_nodes,
            file_systems=_names_or_none(body.file_systems),
            off=_terms_off(body),
        ),
    )


def _terms_off(body: wire.ChangeTerms) -> tuple[str, ...]:
    """The terms that were named with null, by their fields in the core."""
    named = body.model_fields_set - {"from_"}
    fields = {name.removesuffix("_us"): name for name in commands.TermsChange.__struct_fields__}
    return tuple(sorted(fields[each] for each in named if getattr(body, each) is None))


def _names_or_none(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(set(names)))


def _span_us_or_none(span: timedelta | None) -> int | None:
    return None if span is None else span_us(span)


def _fraction_or_none(share: str | None) -> Fraction | None:
    return None if share is None else parse_fraction(share)


def _buffer(given: wire.BufferShare | wire.BufferGrowth | None) -> BufferPolicy | None:
    match given:
        case None:
            return None
        case wire.BufferShare(share=share):
            return BufferShare(share=parse_fraction(share))
        case wire.BufferGrowth(quantile=quantile, horizon=horizon):
            return BufferGrowth(quantile=parse_fraction(quantile), horizon_us=span_us(horizon))


def _wire_buffer(policy: BufferPolicy | None) -> wire.BufferShare | wire.BufferGrowth | None:
    match policy:
        case None:
            return None
        case BufferShare(share=share):
            return wire.BufferShare(share=str(share))
        case BufferGrowth(quantile=quantile, horizon_us=horizon_us):
            return wire.BufferGrowth(quantile=str(quantile), horizon=span(horizon_us))


def terms_of(terms: wire.Terms) -> MarketTerms:
    """The core's terms of the wire's."""
    minimum = terms.notice if terms.minimum_charge is None else terms.minimum_charge
    return MarketTerms(
        pay_as_you_go_micros=micros(terms.pay_as_you_go),
        reservation_rate_micros=micros(terms.reservation_rate),
        public_floor_micros=micros(terms.public_floor),
        fee=parse_fraction(terms.fee),
        switching_credit=parse_fraction(terms.switching_credit),
        notice_us=span_us(terms.notice),
        heal_notice_us=span_us(terms.heal_notice),
        kill_us=span_us(terms.kill),
        turnaround_us=span_us(terms.turnaround),
        start_grace_us=span_us(terms.start_grace),
        minimum_charge_us=span_us(minimum),
        release_grace_us=span_us(terms.release_grace),
        clearing_interval_us=span_us(terms.clearing_interval),
        clearing_pause_us=span_us(terms.clearing_pause),
        billing_period_us=span_us(terms.billing_period),
        backoff_us=span_us(terms.backoff),
        retention_us=span_us(terms.retention),
        buffer_nodes=terms.buffer_nodes,
        buffer=_buffer(terms.buffer),
        agent_lease_us=_span_us_or_none(terms.agent_lease),
        start_limit_us=_span_us_or_none(terms.start_limit),
        payout_cap=_fraction_or_none(terms.payout_cap),
        window_deposit=_fraction_or_none(terms.window_deposit),
        assemble_us=_span_us_or_none(terms.assemble),
        regrow_us=_span_us_or_none(terms.regrow),
        folder_retention_us=_span_us_or_none(terms.folder_retention),
        min_runtime_us=_span_us_or_none(terms.min_runtime),
        shared_nodes=terms.shared_nodes,
        file_systems=tuple(sorted(set(terms.file_systems))),
    )


def wire_terms(terms: MarketTerms) -> wire.Terms:
    """The wire's terms of the core's."""
    return wire.Terms.model_construct(
        pay_as_you_go=amount(terms.pay_as_you_go_micros),
        reservation_rate=amount(terms.reservation_rate_micros),
        public_floor=amount(terms.public_floor_micros),
        fee=str(terms.fee),
        switching_credit=str(terms.switching_credit),
        notice=span(terms.notice_us),
        heal_notice=span(terms.heal_notice_us),
        kill=span(terms.kill_us),
        turnaround=span(terms.turnaround_us),
        start_grace=span(terms.start_grace_us),
        minimum_charge=span(terms.minimum_charge_us),
        release_grace=span(terms.release_grace_us),
        clearing_interval=span(terms.clearing_interval_us),
        clearing_pause=span(terms.clearing_pause_us),
        billing_period=span(terms.billing_period_us),
        backoff=span(terms.backoff_us),
        retention=span(terms.retention_us),
        buffer_nodes=terms.buffer_nodes,
        buffer=_wire_buffer(terms.buffer),
        agent_lease=None if terms.agent_lease_us is None else span(terms.agent_lease_us),
        start_limit=None if terms.start_limit_us is None else span(terms.start_limit_us),
        payout_cap=None if terms.payout_cap is None else str(terms.payout_cap),
        window_deposit=None if terms.window_deposit is None else str(terms.window_deposit),
        assemble=None if terms.assemble_us is None else span(terms.assemble_us),
        regrow=None if terms.regrow_us is None else span(terms.regrow_us),
        folder_retention=None if (kept := terms.folder_retention_us) is None else span(kept),
        min_runtime=None if terms.min_runtime_us is None else span(terms.min_runtime_us),
        shared_nodes=terms.shared_nodes,
        file_systems=list(terms.file_systems),
    )
