"""Between the wire's words and the core's: decimals and micro-units, instants and microseconds."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from parkade.api.problems import ProblemError, problem
from parkade.core.fleet.buffer import BufferGrowth, BufferPolicy, BufferShare
from parkade.core.fleet.market import InstanceType, MarketTerms
from parkade.core.state import commands
from parkade.core.units.fraction import Fraction, parse_fraction
from parkade.core.units.indexes import Spans, parse_indexes
from parkade.core.units.money import format_amount
from parkade.core.units.visible import has_control_characters
from parkade.core.workloads.array import ArrayTerms
from parkade.core.workloads.choice import Choice
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.dependency import Condition, Dependency
from parkade.core.workloads.saving import CheckpointTerms, ExitZero
from parkade.core.workloads.spec import (
    Capacity,
    CapacityKind,
    Interconnect,
    Moves,
    Resize,
    Spec,
)
from parkade.wire import pools as wire
from parkade.wire.model import trusted
from parkade.wire.problems import Fault, invalid
from parkade.wire.scalars import format_instant, parse_when
from parkade.wire.spec import CheckpointTerms as WireCheckpointTerms
from parkade.wire.spec import ElasticNodes, Retry, WorkloadSpec, types_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_US, LAST_US = 0, 250_000_000_000_000_000
"""The years 1970 and 9892: what a date can say in every time zone."""
MICROSECOND = timedelta(microseconds=1)


def micros(amount: Decimal) -> int:
    """Micro-units; the wire has no more than six decimals."""
    whole = amount * 1_000_000
    assert whole == whole.to_integral_value()
    return int(whole)


def micros_or_none(amount: Decimal | None) -> int | None:
    """The same where there may be none."""
    return None if amount is None else micros(amount)


def amount(micro_units: int) -> Decimal:
    """A decimal amount of micro-units, exact however large: a context would round it."""
    return Decimal(format_amount(micro_units))


def amount_or_none(micro_units: int | None) -> Decimal | None:
    """The same where there may be none."""
    return None if micro_units is None else amount(micro_units)


def microseconds(instant: datetime) -> int:
    """Since 1970-01-01 UTC."""
    return (instant - EPOCH) // MICROSECOND


def instant(at_us: int) -> datetime:
    """An aware datetime in UTC; what no date can say, as an agent may have told it, is the first
    or the last that one can."""
    return EPOCH + timedelta(microseconds=min(max(at_us, FIRST_US), LAST_US))


def instant_or_none(at_us: int | None) -> datetime | None:
    """The same where there may be none; 0 is never."""
    return None if not at_us else instant(at_us)


def when(text: str, now_us: int) -> int:
    """An instant as people write it, such as +2h; the problem `invalid` where it is none."""
    try:
        return microseconds(parse_when(text, now=instant(now_us)))
    except ValueError as error:
        raise problem("invalid", str(error)) from None


def span_us(span: timedelta) -> int:
    """Whole microseconds of a span."""
    return span // MICROSECOND


def span(length_us: int) -> timedelta:
    """A span of microseconds."""
    return timedelta(microseconds=length_us)


def spec_of(spec: WorkloadSpec, *, now_us: int) -> Spec:
    """The core's spec of the wire's; `now_us`: from when a deadline like +52h counts."""
    if spec.workdir is None:
        fault = Fault(place="spec.workdir", message="say where it starts, an absolute path")
        raise ProblemError(invalid([fault]))
    _refuse_control_characters(spec)
    entries = tuple(_capacity_of(it) for it in spec.entries)
    limit = micros_or_none(spec.limit_price)
    nodes = spec.nodes
    least, most = (nodes, 0) if isinstance(nodes, int) else (nodes.min, nodes.max)
    return Spec(
        name=spec.name,
        command=spec.command,
        workdir=spec.workdir,
        env=tuple(sorted(spec.env.items())),
        env_file=spec.env_file,
        storage=tuple(sorted(set(spec.storage))),
        nodes=least,
        most_nodes=most if most > least else 0,
        gpus=spec.gpus,
        instance_type=next(iter(types_of(spec.instance_type)), None),
        choices=_choices(spec),
        interconnect=Interconnect(spec.interconnect),
        capacity=entries[0],
        entries=entries if len(entries) > 1 else (),
        limit_price_micros=limit if len(entries) == 1 else None,
        spot_limit_micros=limit if len(entries) > 1 else None,
        max_spend_micros=micros_or_none(spec.max_spend),
        checkpoint=_checkpoint_of(spec.checkpoint),
        priority=spec.priority,
        retry_failures=spec.retry.failures,
        max_duration_us=None if spec.max_duration is None else span_us(spec.max_duration),
        moves=Moves(spec.moves),
        spread=spec.spread,
        labels=tuple(sorted(spec.labels.items())),
        after=tuple(
            Dependency(workload=name, condition=condition)
            for condition in Condition
            for name in getattr(spec, condition.value)
        ),
        array=_array_of(spec.array),
        image=spec.image,
        deadline=_deadline_of(spec, now_us),
        resize=Resize(spec.resize or "restart"),
    )


def _choices(spec: WorkloadSpec) -> tuple[Choice, ...]:
    """The instance types of a list, each with its limit; none where there is one."""
    types = spec.instance_type
    if isinstance(types, dict):
        limits = {name: micros(limit) for name, limit in types.items()}
    else:
        one = micros_or_none(spec.limit_price) or 0
        limits = dict.fromkeys(types_of(types), one)
    if len(limits) < 2:
        return ()
    return tuple(
        Choice(instance_type=name, limit_price_micros=limit) for name, limit in limits.items()
    )


def _first_limit(spec: WorkloadSpec) -> int | None:
    if isinstance(spec.instance_type, dict):
        return micros(next(iter(spec.instance_type.values())))
    return micros_or_none(spec.limit_price)


def _wire_types(spec: Spec) -> dict[str, Any]:
    """The instance types as they were written, and the limit beside them."""
    limits = {it.instance_type: it.limit_price_micros for it in spec.choices}
    if not limits:
        limit = amount_or_none(spec.bid_limit_micros)
        return {"instance_type": spec.instance_type, "limit_price": limit}
    if len(set(limits.values())) == 1:
        first = spec.choices[0].limit_price_micros
        return {"instance_type": list(limits), "limit_price": amount(first)}
    each = {name: amount(limit) for name, limit in limits.items()}
    return {"instance_type": each, "limit_price": None}


def _capacity_of(text: str) -> Capacity:
    kind, _, name = text.partition("/")
    return Capacity(kind=CapacityKind(kind), reservation=name or None)


def _deadline_of(spec: WorkloadSpec, now_us: int) -> DeadlineTerms | None:
    if spec.deadline is None or spec.duration is None:
        return None
    by_us = when(spec.deadline, now_us)
    return DeadlineTerms(by_us=by_us, duration_us=span_us(spec.duration))


def _array_of(text: str | None) -> ArrayTerms | None:
    if text is None:
        return None
    members, _, most = text.partition("%")
    return ArrayTerms(members=parse_indexes(members), most_running=int(most) if most else None)


def members_of(text: str | None) -> Spans | None:
    """The members that a request names; None: it names none."""
    return None if text is None else parse_indexes(text)


def _refuse_control_characters(spec: WorkloadSpec) -> None:
    """Refuses them in new paths; the wire's model still reads paths that were accepted before."""
    message = "leave out control characters; this is shown on terminals"
    paths = {"spec.workdir": spec.workdir, "spec.env_file": spec.env_file}
    faults = [
        Fault(place=place, message=message)
        for place, path in paths.items()
        if path is not None and has_control_characters(path)
    ]
    if faults:
        raise ProblemError(invalid(faults))


def wire_spec(spec: Spec, *, market: str | None = None) -> WorkloadSpec:
    """The wire's spec of the core's; it was checked when it came in. What its deadline made
    on-demand is told as on-demand that runs as long as was said: a deadline is of spot alone.
    `market`: that it names."""
    deadline, longest_us = spec.deadline, spec.max_duration_us
    if deadline is not None and spec.capacity.kind is CapacityKind.ON_DEMAND:
        longest_us, deadline = longest_us or deadline.duration_us, None
    return trusted(
        WorkloadSpec,
        name=spec.name,
        market=market,
        command=spec.command,
        workdir=spec.workdir,
        env=dict(spec.env),
        env_file=spec.env_file,
        image=spec.image,
        storage=list(spec.storage),
        nodes=ElasticNodes.model_construct(min=spec.nodes, max=spec.most_nodes)
        if spec.is_elastic
        else spec.nodes,
        resize=spec.resize.value if spec.is_elastic else None,
        gpus=spec.gpus,
        interconnect=spec.interconnect.value,
        capacity=[str(it) for it in spec.entries] or str(spec.capacity),
        moves=spec.moves.value,
        spread=spec.spread,
        labels=dict(spec.labels),
        array=None if spec.array is None else str(spec.array),
        after=_names_in(spec, Condition.AFTER),
        after_ok=_names_in(spec, Condition.AFTER_OK),
        after_not_ok=_names_in(spec, Condition.AFTER_NOT_OK),
        after_any=_names_in(spec, Condition.AFTER_ANY),
        max_spend=amount_or_none(spec.max_spend_micros),
        checkpoint=_wire_checkpoint(spec.checkpoint),
        priority=spec.priority,
        retry=trusted(Retry, failures=spec.retry_failures),
        max_duration=None if longest_us is None else span(longest_us),
        **_wire_deadline(deadline),
        **_wire_types(spec),
    )


def _wire_deadline(terms: DeadlineTerms | None) -> dict[str, Any]:
    if terms is None:
        return {"duration": None, "fallback": None, "deadline": None}
    return {
        "duration": span(terms.duration_us),
        "fallback": "on-demand",
        "deadline": format_instant(instant(terms.by_us)),
    }


def _names_in(spec: Spec, condition: Condition) -> tuple[str, ...]:
    return tuple(it.workload for it in spec.after if it.condition is condition)


def _checkpoint_of(terms: WireCheckpointTerms | None) -> CheckpointTerms | None:
    if terms is None:
        return None
    return CheckpointTerms(
        signal=terms.signal,
        needs_us=None if terms.needs is None else span_us(terms.needs),
        preset=terms.preset,
        command=terms.command,
        exit_zero=None if terms.exit_zero is None else ExitZero(terms.exit_zero),
    )


def _wire_checkpoint(terms: CheckpointTerms | None) -> WireCheckpointTerms | None:
    if terms is None:
        return None
    return WireCheckpointTerms.model_construct(
        signal=cast(Any, terms.signal),
        needs=None if terms.needs_us is None else span(terms.needs_us),
        preset=cast(Any, terms.preset),
        command=terms.command,
        exit_zero=None if terms.exit_zero is None else cast(Any, terms.exit_zero.value),
    )


def open_pool(pool: wire.OpenPool, *, by: str) -> commands.OpenPool:
    """The command that opens a pool."""
    return commands.OpenPool(
        by=by,
        pool=pool.pool,
        site=pool.site,
        supplier=pool.supplier,
        engine=pool.engine,
        supply=supply_of(pool, pool=pool.pool),
    )


def supply_of(supply: wire.Supply, *, pool: str) -> commands.Supply:
    """The core's supply of the wire's."""
    opens = None
    if supply.instance_type is not None and supply.terms is not None:
        opens = commands.NewMarket(
            instance_type=InstanceType(**supply.instance_type.model_dump()),
            terms=terms_of(supply.terms),
        )
    fabrics = sorted((fabric, tuple(nodes)) for fabric, nodes in supply.fabrics.items())
    return commands.Supply(market=supply.market or pool, opens=opens, fabrics=tuple(fabrics))


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
