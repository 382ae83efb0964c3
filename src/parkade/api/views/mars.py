"""Incidents and the state of automatic action as shown; operators only."""

import msgspec

from parkade.api.translate.scalars import amount, instant, instant_or_none, span
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Health, Node
from parkade.core.healing.guards import Breaker, HoldReason
from parkade.core.healing.incident import Automation, Hurt, Incident, RepairKind
from parkade.core.healing.turnaround import TurnaroundTimes
from parkade.core.healing.verdict import Action, Verdict
from parkade.core.repairing.buffer_use import BufferUse, buffers
from parkade.core.repairing.guarding import breakers
from parkade.core.repairing.lemons import lemons
from parkade.core.state.world import World
from parkade.ports import SensorState
from parkade.wire import mars as wire


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen records: what the answer is made of. `sick` are nodes that are not healthy, with
    their open incident."""

    automation: Automation
    health: dict[Health, int]
    sick: tuple[tuple[Node, str | None], ...]
    budgets: dict[str, Breaker]
    buffers: tuple[BufferUse, ...]
    turnarounds: tuple[tuple[Market, TurnaroundTimes], ...]
    repairs: dict[str, tuple[RepairKind, ...]]
    open_incidents: int
    lemons: dict[str, tuple[str, ...]]
    earned_micros: dict[str, int]


def look(world: World, now_us: int) -> Look:
    """Cost grows with the nodes."""
    records = world.records
    health: dict[Health, int] = dict.fromkeys(Health, 0)
    sick = []
    for node in records.nodes.values():
        health[node.health] += 1
        if node.health is not Health.HEALTHY:
            incident = world.open_incident(node.node)
            sick.append((node, None if incident is None else incident.incident))
    return Look(
        automation=records.automation,
        health=health,
        sick=tuple(sick),
        budgets=breakers(world, now_us),
        buffers=buffers(world),
        earned_micros=dict(records.buffer_earned),
        turnarounds=tuple(
            (records.markets[name], times)
            for name, times in records.turnaround_times.items()
            if name in records.markets
        ),
        repairs=dict(records.repair_kinds),
        lemons=lemons(world, now_us),
        open_incidents=sum(care.incident is not None for care in records.cares.values()),
    )


def status(seen: Look, sensors: dict[str, tuple[SensorState, ...]]) -> wire.Status:
    """The answer."""
    guards = seen.automation.guards
    return wire.Status(
        is_on=seen.automation.is_on,
        is_limited=seen.automation.is_limited,
        reason=seen.automation.reason,
        by=seen.automation.by,
        set_at=instant_or_none(seen.automation.set_us or 0),
        fabric_share=f"{guards.fabric_share.numerator}/{guards.fabric_share.denominator}",
        fleet_share=f"{guards.fleet_share.numerator}/{guards.fleet_share.denominator}",
        health={health.value: count for health, count in seen.health.items()},
        sick=tuple(
            wire.SickNode(
                node=node.node,
                pool=node.pool,
                health=node.health.value,
                reason=node.health_reason,
                incident=incident,
            )
            for node, incident in seen.sick
        ),
        budgets=tuple(
            wire.Budget(
                budget=name, nodes=each.budget, taken=len(each.taken), state=each.state.value
            )
            for name, each in seen.budgets.items()
        ),
        buffers=tuple(
            wire.Buffer(
                market=each.market,
                fabric=each.fabric,
                nodes=each.nodes,
                held=each.held,
                down=each.down,
                lent=each.lent,
                short=each.short,
                sized=None if each.sized_us is None else instant(each.sized_us),
            )
            for each in seen.buffers
        ),
        lemons=seen.lemons,
        earned={market: amount(micros) for market, micros in sorted(seen.earned_micros.items())},
        turnarounds=tuple(_turnaround(market, times) for market, times in seen.turnarounds),
        repairs={pool: tuple(it.value for it in kinds) for pool, kinds in seen.repairs.items()},
        sensors=tuple(
            wire.SensorState(pool=pool, node=it.node, sensor=it.sensor, state=it.state)
            for pool, states in sensors.items()
            for it in states
        ),
        open_incidents=seen.open_incidents,
    )


def _turnaround(market: Market, times: TurnaroundTimes) -> wire.MeasuredTurnaround:
    return wire.MeasuredTurnaround(
        market=market.market,
        promised=span(market.terms.turnaround_us),
        passed=times.passed,
        failed=times.failed,
        usual=None if times.usual_us is None else span(times.usual_us),
        longest=span(times.longest_us),
    )


def _readable(says: str) -> str:
    """A kept line in words for people: a stop is kept as the guard that it is, an action by its
    name."""
    for action in Action:
        says = says.replace(f", {action.value}", f", {action.value.replace('_', ' ')}")
    return says.replace(f"held: {HoldReason.OBSERVE_ONLY.value}", "held: Mars was stopped")


def incident(seen: Incident) -> wire.Incident:
    """One story, whole, in the order of its times: an engine says late when work ran again."""
    return wire.Incident(
        incident=seen.incident,
        node=seen.node,
        pool=seen.pool,
        market=seen.market,
        fabric=seen.fabric,
        level=seen.level.value,
        signal=seen.signal,
        action=seen.action.value,
        device=seen.device,
        opened=instant(seen.opened_us),
        closed=instant_or_none(seen.closed_us or 0),
        outcome=None if seen.outcome is None else seen.outcome.value,
        next=seen.next.value,
        held=None if seen.held is None else seen.held.value,
        order=None if seen.order is None else seen.order.order,
        verdicts=tuple(map(_verdict, seen.verdicts)),
        lines=tuple(
            wire.StoryLine(at=instant(it.at_us), kind=it.kind, says=_readable(it.says))
            for it in sorted(seen.lines, key=lambda it: it.at_us)
        ),
        hurt=tuple(map(_hurt, seen.hurt)),
    )


def _verdict(seen: Verdict) -> wire.Verdict:
    return wire.Verdict(
        verdict=seen.verdict,
        at=instant(seen.at_us),
        level=seen.level.value,
        signal=seen.signal,
        action=seen.action.value,
        device=seen.device,
        count=seen.count,
        reasons=seen.reasons,
        sources=tuple(it.value for it in seen.sources),
        evidence=tuple(
            wire.Evidence(
                at=instant(it.at_us),
                source=it.source.value,
                reporter=it.reporter,
                parser=it.parser,
                line=it.line,
            )
            for it in seen.evidence
        ),
        policy=seen.policy,
    )


def _hurt(seen: Hurt) -> wire.Hurt:
    is_over = seen.from_us is not None and seen.until_us is not None
    seconds = (seen.until_us - seen.from_us) / 1e6 if is_over else None  # type: ignore[operator]
    return wire.Hurt.model_validate(
        {
            "workload": seen.workload,
            "org": seen.org,
            "with_notice": seen.with_notice,
            "from": instant_or_none(seen.from_us or 0),
            "until": instant_or_none(seen.until_us or 0),
            "seconds": seconds,
            "moved_to": seen.moved_to,
            "checkpoint_step": seen.checkpoint_step,
        }
    )
