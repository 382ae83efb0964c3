"""A dry run: what a submission would get and pay in the next clearing."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from parkade.core.clearing.entries import cleared_dry
from parkade.core.clearing.linking import linked_with
from parkade.core.fleet.seat import Seat
from parkade.core.market.outcome import Change, ClearingLine
from parkade.core.running.decisions import accept
from parkade.core.running.falling_back import fallback_due_us
from parkade.core.running.promises import attempt_of
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.steps.windows import keeps_window, kept_micros
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.choices import as_bid_in
from parkade.core.workloads.workload import Attempt, Promise, Workload

GIVES_NOTICE = frozenset({Change.START, Change.MOVE, Change.HEAL, Change.RESIZE, Change.PREEMPT})
"""What ends an attempt that has no notice yet; START where none of its nodes is in play."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a submission would come to in the next clearing."""

    workload: Workload
    """The record that it would become."""

    seats: tuple[Seat, ...]
    """Empty where it would wait."""

    price_micros: int
    """Per GPU-hour; 0 where it would wait, or a reservation pays."""

    rate_micros_per_hour: int
    """For all its GPUs."""

    displaces: int
    """How many attempts would get their notice that would not get it without this submission."""

    why: str
    """Why it would wait; empty where it would not."""

    price_to_win_micros: int | None
    """The smallest limit that would win; None where none would, or it wins."""

    falls_back_us: int | None
    """When it would become on-demand, at the latest; None: it has no deadline."""

    fallback_micros: int | None
    """What on-demand would cost at most that is set aside for it: then, or once its list buys it;
    None where there is no such thing."""

    attempt: Attempt
    """What it would be launched as; where it would wait, on seats that it could have."""


def plan(world: World, command: commands.Submit, now_us: int) -> Plan | Refusal:
    """What the next clearing would do with it, or with one member of an array, were it run now;
    changes nothing."""
    workload = accept(world, command, now_us)
    if isinstance(workload, Refusal):
        return workload
    if workload.array is not None:
        workload = msgspec.structs.replace(workload, array=None)
    assert workload.workload not in world.records.workloads, "a dry run of what exists"
    markets = linked_with(world, workload.market, extra=(workload,))
    chosen = cleared_dry(world, markets, now_us, extra=(workload,))
    (workload,), together = chosen.extra, chosen.together
    lines = tuple(together.lines())
    line = next((line for line in lines if line.demand == workload.workload), None)
    if line is None:
        excluded = (part.given.excluded for part in together.parts.values())
        why = next(it[workload.workload] for it in excluded if workload.workload in it)
        return _plan(world, workload, None, 0, why, now_us)
    displaced: set[str] = set()
    if line.seats:
        there = world.records.nodes[line.seats[0].node].market
        workload = as_bid_in(workload, there)
        without = cleared_dry(world, markets, now_us).together
        displaced = noticed(world, lines) - noticed(world, without.lines())
    answers = together.answers.get(workload.workload, ())
    workload = replace(workload, answers=answers)
    why = line.reason.value if line.reason else ""
    return _plan(world, workload, line, len(displaced), why, now_us)


def noticed(world: World, lines: Iterable[ClearingLine]) -> set[str]:
    """The workloads whose attempt gets its notice from a clearing of these lines."""
    return {
        line.demand
        for line in lines
        if line.change in GIVES_NOTICE
        and (workload := world.records.workloads.get(line.demand)) is not None
        and workload.attempt is not None
        and workload.attempt.stop is None
    }


def _plan(
    world: World,
    workload: Workload,
    line: ClearingLine | None,
    displaces: int,
    why: str,
    now_us: int,
) -> Plan:
    price = line.price_micros if line is not None else 0
    seats = line.seats if line is not None and line.seats else _some_seats(world, workload)
    promise = Promise(
        seats=seats, promised_us=workload.submitted_us, displaces=False, busy=0, rates=()
    )
    return Plan(
        workload=workload,
        seats=line.seats if line is not None else (),
        price_micros=price,
        rate_micros_per_hour=_rate_micros(line, workload) if line is not None else 0,
        displaces=displaces,
        why=why,
        price_to_win_micros=line.price_to_win_micros if line is not None else None,
        falls_back_us=fallback_due_us(world, workload),
        fallback_micros=_kept_micros(world, workload, now_us),
        attempt=attempt_of(workload, promise, world.records.sequence + 1, workload.submitted_us),
    )


def _kept_micros(world: World, workload: Workload, now_us: int) -> int | None:
    if not keeps_window(workload):
        return None
    return kept_micros(world.records.markets[workload.market], workload, now_us)


def _rate_micros(line: ClearingLine, workload: Workload) -> int:
    if line.node_prices:
        return sum(line.node_prices) * workload.spec.gpus
    return line.price_micros * workload.spec.total_gpus


def _some_seats(world: World, workload: Workload) -> tuple[Seat, ...]:
    spec = workload.spec
    each = spec.ranks_per_node(world.records.markets[workload.market].instance_type.gpus_per_node)
    nodes = [it.node for it in world.records.nodes.values() if it.market == workload.market]
    ranks = [node for node in nodes for _ in range(each)]
    return tuple(Seat(node=node, gpus=spec.gpus) for node in ranks[: spec.nodes])
