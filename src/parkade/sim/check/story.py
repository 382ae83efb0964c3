"""A breach as a story that a person can read: each act in words, and what followed from it."""

from collections.abc import Iterator
from typing import assert_never

from parkade.api.views.audience import Owners, Reader, look_up
from parkade.api.views.events import event as shown
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.indexes import Spans, written
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import counted
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt
from parkade.core.workloads.spec import CapacityKind
from parkade.sim.check.acts import Act, Kind, acts
from parkade.sim.check.breach import Violation
from parkade.sim.check.liveness import MOST_ROUNDS, ROUND
from parkade.sim.check.root import root_of
from parkade.sim.check.scenarios import START_US, Scenario
from parkade.sim.check.search import Found
from parkade.sim.check.state import State
from parkade.sim.check.stepping import Stepper

_WORDS = {
    Kind.CLEARING: "a clearing runs",
    Kind.TICK: "time passes, a tick at most",
    Kind.DEADLINE: "time passes to the next deadline",
    Kind.HEARS: "the agent hears what shall run, and acts",
    Kind.ACTS: "the agent acts again on what it was told",
    Kind.REPORTS: "the agent reports, and is answered",
    Kind.UNANSWERED: "the agent reports, and the answer is lost",
    Kind.SENDS: "a report of the agent sets out",
    Kind.ARRIVES: "the report that was on its way arrives",
    Kind.AGENT_RESTARTS: "the agent restarts",
    Kind.PLANE_RESTARTS: "the control plane restarts",
    Kind.STARTS: "has its first process",
    Kind.SUCCEEDS: "ends by itself with 0",
    Kind.FAILS: "ends by itself with 1",
    Kind.LEAVES: "ends by the signal of its notice",
}
_READER = Reader(org="", is_operator=True, may_see_money=True)
_QUIET = (events.EpochOpened, events.Forgotten)


def story(scenario: Scenario, found: Found) -> list[str]:
    """Lines: the world, each act and its events, and at last what is broken."""
    assert found.invariant is not None, "no story without a breach"
    lines = [f"{scenario.name}: {scenario.says}.", ""]
    telling = _Telling(scenario, lines)
    for index in found.path:
        telling.act(acts(telling.state, scenario)[index])
    if found.is_at_rest:
        lines.append("     Nothing arrives any more, and the machines obey:")
        telling.rest()
    number_of = f"Invariant {found.invariant}" if found.invariant else "The program's own assertion"
    return [*lines, "", f"{number_of} is broken: {found.says}"]


class _Telling:
    """A story in the making: the state that it is at, and its lines."""

    def __init__(self, scenario: Scenario, lines: list[str]) -> None:
        self.state = root_of(scenario)
        self._lines = lines
        self._stepper = Stepper()
        self._owners = Owners()
        self._number = 0

    def act(self, act: Act, *, is_quiet: bool = False) -> bool:
        """One more act and what follows; false where nothing does. `is_quiet`: then it is not
        told."""
        try:
            made = self._stepper.step(self.state, act)
        except Violation:
            made = (self.state, [])
        if made is None:
            return False
        after, happened = made
        if happened or not is_quiet:
            self._number += 1
            self._lines.append(f"{self._number:3}. {words(act)}")
        for event in happened:
            found = _follows(self.state, after.world, event, self._owners)
            self._lines.extend(f"       {says}" for says in found)
        self.state = after
        return bool(happened)

    def rest(self) -> None:
        """Rounds until nothing follows."""
        for _ in range(MOST_ROUNDS):
            followed = [self.act(act, is_quiet=True) for part in ROUND for act in part(self.state)]
            if not any(followed):
                return


def _follows(before: State, world: World, event: events.AnyEvent, owners: Owners) -> Iterator[str]:
    if isinstance(event, _QUIET):
        return
    for each in (before.world, world):
        owners.learn({k: v for k, v in look_up(each, owners.unknown((event,))).items() if v})
    line = shown(world.records.sequence, event, owners, _READER)
    if line is not None:
        yield f"{(event.at_us - START_US) / SECOND_US:g} s: {line.says}"


def words(act: Act) -> str:
    """An act as one says it."""
    if act.kind is Kind.COMMAND:
        assert act.command is not None
        return _command(act.command)
    return f"{act.name} {_WORDS[act.kind]}" if act.name else _WORDS[act.kind]


def _command(command: commands.AnyCommand) -> str:
    match command:
        case commands.Submit():
            return _submission(command)
        case commands.Cancel(workload=name, now=now, members=some):
            return f"{_members(name, some)} is cancelled{', without its notice' if now else ''}"
        case commands.ChangeBid(workload=name, limit_price_micros=limit, members=some):
            return f"the bid of {_members(name, some)} is changed to {format_amount(limit)}"
        case commands.Retry(workload=name, members=some):
            return f"{_members(name, some)} is retried{'' if some else ', as far as it failed'}"
        case commands.Resubmit(workload=name):
            return f"{name} is submitted again"
        case commands.ChangeBounds(workload=name, max_duration_us=commands.NewBound(value=lasts)):
            return f"{name} may last {(lasts or 0) / SECOND_US:g} s"
        case commands.SetOrgCap(org=org, most_gpus=None):
            return f"{org} has no cap any more"
        case commands.SetOrgCap(org=org, most_gpus=most):
            return f"{org} may hold {most} GPUs at a time"
        case commands.OpenExec(workload=name, program=program):
            return f"{program} is run beside {name}"
        case commands.Hold(workload=name):
            return f"{name} is held"
        case commands.Release(workload=name):
            return f"{name} is released"
        case commands.MakeClaim(reservation=name, nodes=nodes):
            return f"{name} claims {counted(nodes, 'node')} of its reservation"
        case commands.Unclaim(claim=name):
            return f"claim {name} is given up"
        case commands.Lend(reservation=name, floor_micros=None):
            return f"{name} stops lending"
        case commands.Lend(reservation=name, floor_micros=int(floor)):
            return f"{name} lends what is idle, from {format_amount(floor)}"
        case commands.Reserve(org=org, nodes=nodes, start_us=int(start_us)):
            from_s = (start_us - START_US) / SECOND_US
            return f"{org} reserves {counted(nodes, 'node')} from {from_s:g} s on"
        case commands.Reserve(org=org, nodes=nodes):
            return f"{org} reserves {counted(nodes, 'node')}"
        case commands.SplitReservation(reservation=name, nodes=nodes, org=None):
            return f"{counted(nodes, 'node')} of the reservation {name} is split off"
        case commands.SplitReservation(reservation=name, nodes=nodes, org=org):
            return f"{counted(nodes, 'node')} of the reservation {name} is handed over to {org}"
        case commands.ShrinkReservation(reservation=name, nodes=nodes):
            return f"{counted(nodes, 'node')} of the reservation {name} is given up"
        case commands.EndReservation(reservation=name):
            return f"the reservation {name} is to end with its period"
        case commands.ExtendReservation(reservation=name):
            return f"the reservation {name} is to last a period longer"
        case commands.ChangeTerms(change=change, from_us=from_us):
            when = "now" if from_us is None else f"{(from_us - START_US) / SECOND_US:g} s on"
            return f"the notice is {(change.notice_us or 0) / SECOND_US:g} s from {when}"
        case commands.ScheduleMaintenance(nodes=nodes, end_us=end_us):
            until = (end_us - START_US) / SECOND_US
            return f"{', '.join(nodes)} is in maintenance soon, until {until:g} s"
        case commands.CancelMaintenance(maintenance=name):
            return f"maintenance {name} is given up"
        case commands.FailNode(node=node):
            return f"{node} breaks"
        case commands.RestoreNode(node=node):
            return f"{node} is restored"
        case commands.CordonNode(node=node):
            return f"{node} is cordoned"
        case commands.UncordonNode(node=node):
            return f"the cordon of {node} is lifted"
        case commands.DrainNode(node=node):
            return f"{node} is drained"
        case commands.UndrainNode(node=node):
            return f"{node} is drained no more"
        case commands.ReportAttempts(attempts=attempts):
            says = [_seen(seen) for seen in attempts]
            return f"the agent reports: {'; '.join(says) or 'nothing runs'}"
        case commands.ReportOwnerJobs(jobs=jobs):
            runs = [f"job {it.job} {_where(it.runs_on)}" for it in jobs]
            return f"the agent reports of owners' jobs: {'; '.join(runs) or 'none is there'}"
        case commands.ReportTakenNodes(nodes=nodes):
            taken = ", ".join(it.node for it in nodes)
            return f"a job of others runs on {taken}" if taken else "no job of others runs"
        case commands.ReportReachability(is_reachable=is_reachable):
            return "the agent is heard again" if is_reachable else "the agent is not heard any more"
        case _:
            return type(command).__name__


def _where(nodes: tuple[str, ...]) -> str:
    return f"runs on {', '.join(nodes)}" if nodes else "waits"


def _members(array: str, some: Spans | None) -> str:
    return array if some is None else f"{array}[{written(some)}]"


def _submission(command: commands.Submit) -> str:
    spec = command.spec
    each = "" if spec.array is None else f"each member of {spec.array}, "
    shape = counted(spec.nodes, "node") + (f" × {spec.gpus} GPUs" if spec.gpus != 1 else "")
    if spec.entries:
        asked = ", then ".join(map(str, spec.entries))
        return f"{command.org} asks for {shape} of {asked}"
    match spec.capacity.kind:
        case CapacityKind.SPOT:
            assert spec.limit_price_micros is not None
            due = ""
            if spec.deadline is not None:
                by_s = (spec.deadline.by_us - START_US) / SECOND_US
                due = f", which is due at {by_s:g} s and runs for"
                due += f" {spec.deadline.duration_us / SECOND_US:g} s"
            limit = format_amount(spec.limit_price_micros)
            return f"{command.org} bids {limit} for {each}{shape}{due}"
        case CapacityKind.RESERVATION:
            return f"{command.org} submits work for {shape} of its reservation"
        case CapacityKind.ON_DEMAND:
            return f"{command.org} takes {shape} on demand"
    assert_never(spec.capacity.kind)


def _seen(seen: ObservedAttempt) -> str:
    if seen.is_unadmitted:
        return f"{seen.attempt} is refused, for its user is not let in"
    if seen.phase is EnginePhase.RELEASED:
        ends = {
            f"exit {rank.code}" if rank.code is not None else f"signal {rank.signal}"
            for rank in seen.exits
        }
        return f"{seen.attempt} has ended, {', '.join(sorted(ends)) or 'unknown how'}"
    saved = "" if seen.checkpoint is None else f" and has saved step {seen.checkpoint.step}"
    ranks = ", ".join(str(it.rank) for it in seen.left)
    left = f", and rank {ranks} has left" if ranks else ""
    begun = ", ".join(str(it.rank) for it in seen.begun or ())
    new = f", and rank {begun} has begun" if begun else ""
    return f"{seen.attempt} runs{saved}{left}{new}"
