"""Between the wire's spec of a workload and the core's."""

from typing import Any, cast

from parkade.api.problems import ProblemError
from parkade.api.translate.scalars import (
    amount,
    amount_or_none,
    instant,
    micros,
    micros_or_none,
    span,
    span_us,
    when,
)
from parkade.core.units.indexes import Spans, parse_indexes
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
from parkade.wire.model import trusted
from parkade.wire.problems import Fault, invalid
from parkade.wire.scalars import format_instant
from parkade.wire.spec import CheckpointTerms as WireCheckpointTerms
from parkade.wire.spec import ElasticNodes, Retry, WorkloadSpec, types_of


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
