"""What may happen next in a state: commands of people and machines, a clearing, and time.

Of nodes that nothing distinguishes only the first is failed or cordoned. The acts of a state have
an order that follows from the state alone, so that a number names an act for ever.
"""

import enum
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from parkade.core.fleet.node import Health, Node
from parkade.core.reservations.reservation import ReservationState
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.units import indexes
from parkade.core.workloads.life import Phase
from parkade.core.workloads.observed import Checkpoint, EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.ranks import ranks_of
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.core.workloads.spec import CapacityKind, Spec
from parkade.core.workloads.workload import Attempt, Workload
from parkade.sim.check import arrays, changes, jobs, live, rights, windows
from parkade.sim.check.agents import AgentSide
from parkade.sim.check.scenarios import GUEST, MARKET, POOL, Asks, Scenario, lent, reserved
from parkade.sim.check.state import State

KILLED = -9


class Kind(enum.IntEnum):
    """What an act is."""

    COMMAND = 0
    CLEARING = 1
    TICK = 2
    """A tick passes, or less where a deadline comes first."""
    DEADLINE = 3
    """Time passes to the next deadline."""
    HEARS = 4
    """The agent hears the newest desired state, and acts."""
    ACTS = 5
    """It acts again on what it was told before."""
    REPORTS = 6
    """It reports and is answered."""
    UNANSWERED = 7
    """Its report is heard, the answer is lost."""
    SENDS = 8
    """Its report is on its way, in place of the one before."""
    ARRIVES = 9
    """What is on its way arrives, and may arrive again."""
    AGENT_RESTARTS = 10
    PLANE_RESTARTS = 11
    STARTS = 12
    """The first process of an attempt runs; `name` says of which."""
    SUCCEEDS = 13
    FAILS = 14
    LEAVES = 15
    """It ends by the signal of its notice."""


class Act(NamedTuple):
    """One act; `command` is None where none is asked, `name` an attempt where the act is its."""

    kind: Kind
    command: commands.AnyCommand | None = None
    name: str = ""


CLEAR = Act(Kind.CLEARING, commands.RunClearing(by=None, market=MARKET))
TICK = Act(Kind.TICK)
DEADLINE = Act(Kind.DEADLINE)


def acts(state: State, scenario: Scenario) -> list[Act]:
    """All that may happen next. Cost grows with workloads, claims and nodes."""
    found = [CLEAR, TICK, DEADLINE]
    world = state.world
    asked: list[commands.AnyCommand] = []
    asked.extend(_submissions(state, scenario))
    for workload in _alive(world):
        if workload.array is not None:
            asked.extend(_of_array(world, workload, scenario))
        else:
            asked.extend(_of_workload(workload, scenario))
        if workload.attempt is not None and state.agent is None:
            is_due = workload.fallback is not None
            asked.extend(_seen(workload.attempt, state.now_us, saves_late=is_due))
            if Asks.ADMISSION in scenario.asks and workload.attempt.started_us is None:
                asked.append(report(not_let_in(workload.attempt, state.now_us)))
    if state.agent is None:
        asked.extend(_strange_reports(world, state.now_us))
    if Asks.RETRIES in scenario.asks:
        asked.extend(_retries(world))
    if Asks.RESUBMITS in scenario.asks:
        asked.extend(_resubmissions(world, scenario))
    if Asks.CAPS in scenario.asks:
        most = None if world.records.orgs[GUEST].cap is not None else changes.MOST_GPUS
        asked.append(commands.SetOrgCap(by=None, org=GUEST, cap_micros=None, most_gpus=most))
    if Asks.RIGHTS in scenario.asks:
        asked.extend(rights.asked_of_rights(world, state.now_us))
    if windows.ASKS & scenario.asks:
        asked.extend(windows.asked_of_spans(world, scenario, state.now_us))
    if Asks.JOBS in scenario.asks:
        asked.extend(jobs.asked_of_jobs(world, _different_nodes(world)))
    asked.extend(_of_owners(world, scenario))
    asked.extend(_of_nodes(world, scenario))
    found.extend(Act(Kind.COMMAND, command) for command in asked)
    if state.agent is not None:
        found.extend(_of_agent(state.agent))
    return found


_PROTOCOL = tuple(Act(it) for it in Kind if Kind.HEARS <= it <= Kind.SENDS)


def _of_agent(agent: AgentSide) -> Iterator[Act]:
    """What agent, network and engine may do."""
    yield from _PROTOCOL
    if agent.sent is not None:
        yield Act(Kind.ARRIVES)
    if agent.desired is not None:
        yield Act(Kind.AGENT_RESTARTS)
    yield Act(Kind.PLANE_RESTARTS)
    for one in agent.live():
        if one.phase is EnginePhase.STARTING:
            yield Act(Kind.STARTS, name=one.attempt)
        elif one.stop is None:
            yield Act(Kind.SUCCEEDS, name=one.attempt)
        if one.stop is None:
            yield Act(Kind.FAILS, name=one.attempt)
        else:
            yield Act(Kind.LEAVES, name=one.attempt)


def _submissions(state: State, scenario: Scenario) -> Iterator[commands.AnyCommand]:
    world = state.world
    alive = {_what(it) for it in _alive(world) if it.member_of is None}
    if len(alive) >= scenario.most_live:
        return
    for submit in scenario.submissions:
        if _wish(submit.org, submit.spec) not in alive:
            yield windows.due_from(submit, state.now_us)


def _resubmissions(world: World, scenario: Scenario) -> Iterator[commands.AnyCommand]:
    """The guest's youngest bid, where it has ended and none like it is alive."""
    ended = changes.ended_bid(world)
    alive = {_what(it) for it in _alive(world) if it.member_of is None}
    if ended is not None and len(alive) < scenario.most_live and _what(ended) not in alive:
        yield commands.Resubmit(by=None, workload=ended.workload)


def _what(workload: Workload) -> tuple[str, str, int, int, int]:
    return _wish(workload.org, workload.spec)


def _wish(org: str, spec: Spec) -> tuple[str, str, int, int, int]:
    asked = ", ".join(map(str, spec.entries)) or spec.capacity.kind.value
    return (org, asked, spec.nodes, spec.most_nodes, spec.gpus)


def _of_workload(workload: Workload, scenario: Scenario) -> Iterator[commands.AnyCommand]:
    name, asks, phase = workload.workload, scenario.asks, workload.phase
    if Asks.CANCELS in asks:
        stop = workload.attempt.stop if workload.attempt is not None else None
        yield commands.Cancel(by=None, workload=name, now=stop is not None)
    if workload.spec.capacity.kind is not CapacityKind.SPOT:
        return
    if Asks.BIDS in asks:
        for limit, other in scenario.bids:
            if workload.spec.limit_price_micros == limit:
                yield commands.ChangeBid(by=None, workload=name, limit_price_micros=other)
    if Asks.BOUNDS in asks:
        yield from changes.asked_of_bounds(workload)
    if Asks.HOLDS in asks:
        if phase is Phase.HELD:
            yield commands.Release(by=None, workload=name)
        elif phase in (Phase.QUEUED, Phase.PLACED):
            yield commands.Hold(by=None, workload=name)


def _alive(world: World) -> list[Workload]:
    """In the order of the records, which a restart keeps."""
    return [it for it in world.records.workloads.values() if not it.phase.is_ended]


def _of_array(world: World, array: Workload, scenario: Scenario) -> Iterator[commands.AnyCommand]:
    """What is asked of all members, and of a few: the first that is open and the last that waits.
    The same is asked of single members as of any work."""
    name, asks = array.workload, scenario.asks
    assert array.array is not None
    waiting = arrays.indexes_of(array.array.waiting)
    opened = [it.index for it in arrays.open_members(world, name) if it.index is not None]
    some = None
    if waiting and opened:
        some = indexes.joined((index, index) for index in (opened[0], waiting[-1]))
    if Asks.CANCELS in asks:
        yield commands.Cancel(by=None, workload=name, now=False)
        if some:
            yield commands.Cancel(by=None, workload=name, now=False, members=some)
    if Asks.BIDS in asks:
        for limit, other in scenario.bids:
            if array.spec.limit_price_micros == limit:
                yield commands.ChangeBid(by=None, workload=name, limit_price_micros=other)
                if some:
                    yield commands.ChangeBid(
                        by=None, workload=name, limit_price_micros=other, members=some
                    )
    if Asks.HOLDS in asks:
        if array.phase is Phase.HELD:
            yield commands.Release(by=None, workload=name)
        else:
            yield commands.Hold(by=None, workload=name)


def _retries(world: World) -> Iterator[commands.AnyCommand]:
    """Of the youngest array: all that failed, and all that have ended."""
    array = arrays.youngest(world)
    if array is None or array.array is None:
        return
    if array.array.failed:
        yield commands.Retry(by=None, workload=array.workload, members=None)
    if array.array.ended and array.array.ended != array.array.failed:
        yield commands.Retry(by=None, workload=array.workload, members=array.array.ended)


def _seen(attempt: Attempt, now_us: int, *, saves_late: bool) -> Iterator[commands.AnyCommand]:
    """What its agent may see of an attempt, each reported at once. `saves_late`: also what it saves
    during its notice, of work for which that decides something."""
    if attempt.started_us is None and attempt.stop is None:
        yield report(seen(attempt, now_us, None))
        yield report(seen(attempt, now_us, 1))
        return
    if attempt.stop is None:
        yield report(seen(attempt, now_us, 0))
        yield report(seen(attempt, now_us, 1))
        for left in live.may_have_left(attempt, now_us):
            yield report(replace(seen(attempt, now_us, None), left=left))
        for begun in live.may_have_begun(attempt, now_us):
            yield report(replace(seen(attempt, now_us, None), begun=begun))
        if attempt.checkpoint_us is None:
            yield report(seen(attempt, now_us, None, saved_us=now_us))
        else:
            yield report(seen(attempt, now_us, EXIT_SAVED))
        return
    yield report(seen(attempt, now_us, KILLED))
    if attempt.started_us is not None:
        yield report(seen(attempt, now_us, 0))
        if saves_late:
            yield report(seen(attempt, now_us, None, saved_us=now_us))
            yield report(seen(attempt, now_us, EXIT_SAVED))


def _strange_reports(world: World, now_us: int) -> Iterator[commands.AnyCommand]:
    """Reports from which nothing may follow: one that names nothing, one of an attempt that was
    launched at another instant, and one of the attempt before."""
    is_first = True
    for workload in _alive(world):
        attempt, name = workload.attempt, workload.workload
        if attempt is None:
            continue
        if is_first:
            yield report()
            is_first = False
        gone = seen(attempt, now_us, KILLED)
        yield report(replace(gone, ordered_us=attempt.ordered_us - 1))
        if attempt.generation > 1:
            before = attempt.generation - 1
            yield report(replace(gone, attempt=f"{name}.{before}", generation=before))


def report(*attempts: ObservedAttempt, pool: str = POOL) -> commands.ReportAttempts:
    """What an agent reports of its pool."""
    return commands.ReportAttempts(by=None, pool=pool, attempts=attempts)


def seen(
    attempt: Attempt,
    now_us: int,
    code: int | None,
    *,
    saved_us: int | None = None,
) -> ObservedAttempt:
    """An attempt as seen now: running where `code` is None, else released with that exit of all
    ranks (negative: ended by that signal)."""
    is_over = code is not None
    exits: tuple[RankExit, ...] = ()
    if code is not None:
        exits = tuple(
            RankExit(
                rank=rank.rank,
                code=code if code >= 0 else None,
                signal=-code if code < 0 else None,
            )
            for rank in ranks_of(attempt)
        )
    has_started = not is_over or attempt.started_us is not None
    return ObservedAttempt(
        attempt=attempt.attempt,
        generation=attempt.generation,
        phase=EnginePhase.RELEASED if is_over else EnginePhase.RUNNING,
        started_us=(attempt.started_us or now_us) if has_started else None,
        released_us=now_us if is_over else None,
        exits=exits,
        checkpoint=None if saved_us is None else Checkpoint(step=1, at_us=saved_us),
        devices=(),
        launch_error=None,
        engine_state="seen",
        ordered_us=attempt.ordered_us,
        begun=(),
    )


def not_let_in(attempt: Attempt, now_us: int) -> ObservedAttempt:
    """An attempt of which the engine took no job, because of its user."""
    ended = seen(attempt, now_us, KILLED)
    return replace(ended, exits=(), launch_error="its user is not let in", is_unadmitted=True)


def _of_owners(world: World, scenario: Scenario) -> Iterator[commands.AnyCommand]:
    asks = scenario.asks
    claimed: dict[str, int] = {}
    for claim in world.records.claims.values():
        claimed[claim.reservation] = claimed.get(claim.reservation, 0) + claim.nodes
        yield commands.Unclaim(by=None, claim=claim.claim)
    for reservation in world.records.reservations.values():
        name = reservation.reservation
        if reservation.state is not ReservationState.IN_FORCE:
            continue
        left = reservation.nodes - claimed.get(name, 0)
        if Asks.CLAIMS in asks and left > 0:
            for nodes in sorted({1, left}):
                yield commands.MakeClaim(by=None, reservation=name, nodes=nodes)
        if Asks.LENDS in asks:
            yield lent(name, 2 if reservation.lending is None else None)
    if Asks.RESERVES in asks and GUEST not in world.records.reservations:
        yield reserved(GUEST, 1)


def _different_nodes(world: World) -> list[str]:
    """Nodes with something on them, and of those without, one of each kind."""
    found: dict[object, str] = {}
    for node in world.records.nodes.values():
        name = node.node
        is_started = any(name in claim.runs_on for claim in world.records.claims.values())
        is_empty = not (world.held_on[name] or world.promised_on[name] or is_started)
        found.setdefault(_empty(node) if is_empty else name, name)
    return list(found.values())


def _of_nodes(world: World, scenario: Scenario) -> Iterator[commands.AnyCommand]:
    asks = scenario.asks
    looked_at: set[object] = set()
    nodes = world.records.nodes.values()
    has_failed = any(node.health is Health.FAILED for node in nodes)
    has_cordon = any(node.cordons for node in nodes)
    has_drain = any(node.draining_us is not None for node in nodes)
    for node in nodes:
        if not world.held_on[node.node] and not world.promised_on[node.node]:
            twin = (*_empty(node), windows.is_planned(world, node))
            if twin in looked_at:
                continue
            looked_at.add(twin)
        if Asks.FAILS in asks:
            if node.health is not Health.HEALTHY:
                yield commands.RestoreNode(by=None, node=node.node)
            elif not has_failed:
                yield commands.FailNode(by=None, node=node.node, reason="broken")
        if Asks.CORDONS in asks:
            if node.cordons:
                yield commands.UncordonNode(by=None, node=node.node)
            elif not has_cordon:
                yield commands.CordonNode(by=None, node=node.node, reason="looked at")
        if Asks.DRAINS in asks:
            if node.draining_us is not None:
                yield commands.UndrainNode(by=None, node=node.node)
            elif not has_drain:
                yield commands.DrainNode(by=None, node=node.node, reason="moved")


def _empty(node: Node) -> tuple[object, ...]:
    return (
        node.fabric,
        node.health,
        node.health_reason,
        node.cordons,
        node.draining_us,
        node.last_org,
        node.vacated_us,
    )
