"""The agent's eyes: polls sensors, judges, tells verdicts, and how ordered repairs ended.

Sensing, telling and repairing (`repairs`) go on independently, and beside the agent's other work: a
sensor that hangs delays no launch. Logs are looked at about each second, apart from the rounds of
all other sensors (`sensors.polling`). Verdicts wait until the control plane heard them.

A kernel's ring gives its old lines to each new agent. So the agent keeps, for each node, until when
it had seen and told everything, and what is older than that is not news. Of each log it keeps how
far it was judged and told: the next agent goes on there, also with what came in between. What was
seen in a log and by other sensors is kept apart: they are polled at different times, so that a line
may be read after a later reading of a GPU.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import ControlPlane, ControlPlaneError
from parkade.agent.notes import Notes
from parkade.agent.repairs import OrderedRepairs
from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from parkade.core.healing.judge import close_windows, judge, next_close, next_untold, note_repair
from parkade.core.healing.ladder import Repair, RepairResult
from parkade.core.healing.memory import NodeMemory, empty_memory
from parkade.core.healing.policy import Policy
from parkade.core.healing.symptom import Symptom
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Action, Level, Verdict
from parkade.core.units.time import SECOND_US
from parkade.ports import (
    Clock,
    DesiredState,
    HealthReport,
    LogStates,
    Repairs,
    Sensor,
    SensorState,
    Timer,
)
from parkade.sensors.bookmarks import ReadSoFar, log_name
from parkade.sensors.gaps import Gaps
from parkade.sensors.polling import Polled, SensorGroup, grouped, logs_pause_s

T = TypeVar("T")
HEARTBEAT_S = 10.0
MOST_WAITING = 10_000
SHORTEST_S = 0.01
"""Between two looks for windows that close, whatever the clocks say."""
SEEN = "seen.json"
BOOKMARKS = "bookmarks.json"
FOREIGN = "%s: its log has lines of %s, which are left out%s"
MISSED = "%s: lines may have been missed, from %s until %s: %s"
FOREIGN_HINT = "; where that is the node by another name, name it as `host`"
WHOLE_POOL = ""
"""The node of a sensor that speaks for several."""
_ON_LADDER = {RepairKind.RESET: Action.RESET_GPU, RepairKind.REBOOT: Action.REBOOT}

logger = logging.getLogger("parkade.agent.health")


class HealthPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool's agent watches and may do; `repairs` None: it only watches. `shared` sensors
    speak for several nodes; `surroundings` is what nodes share."""

    sensors: Mapping[str, Sequence[Sensor]]
    policy: Policy
    every_s: float
    repairs: Repairs | None
    shared: Sequence[Sensor] = ()
    surroundings: tuple[Surroundings, ...] = ()


class HealthWatch:
    """See the module. `desire` is called with each desired state, `watch` and `tell` run beside."""

    def __init__(
        self,
        plan: HealthPlan,
        control_plane: ControlPlane,
        *,
        pool: str,
        notes: Notes,
        clock: Clock,
        timer: Timer,
    ) -> None:
        self._plan = plan
        self._control_plane = control_plane
        self._pool = pool
        self._clock = clock
        self._timer = timer
        self._memories: dict[str, NodeMemory] = {node: empty_memory(node) for node in plan.sensors}
        self._jobs: dict[str, str | None] = {}
        self._nodes: frozenset[str] = frozenset()
        self._waiting: dict[str, Verdict] = {}
        self._symptoms: dict[str, int] = {}
        self._states: dict[tuple[str, str], str] = {}
        self._has_foreign: set[str] = set()
        self._repairs = OrderedRepairs(plan.repairs, notes=notes, clock=clock, ended=self._ended)
        self._notes = notes
        coalesce_us = plan.policy.windows.coalesce_us
        self._seen_before: dict[str, int] = _load(notes, SEEN, dict[str, int])
        self._seen_now = dict(self._seen_before)
        self._seen = ReadSoFar(self._seen_before, coalesce_us=coalesce_us)
        marks: dict[str, str] = _load(notes, BOOKMARKS, dict[str, str])
        self._marks = ReadSoFar(marks, coalesce_us=coalesce_us)
        self._saved = {SEEN: dict(self._seen.judged), BOOKMARKS: dict(self._marks.judged)}
        self._logs, of_nodes = grouped(plan.sensors)
        shared = ((WHOLE_POOL, sensor) for sensor in plan.shared)
        self._others = SensorGroup((*of_nodes.sensors, *shared))
        for node, log in self._logs.sensors:
            if log_name(node) in marks:
                log.resume(marks[log_name(node)])
        self._gaps = Gaps()
        self._log_states: LogStates | None = None
        self._tell_missed()
        self._to_tell = asyncio.Event()
        self._to_tell.set()

    def desire(self, state: DesiredState) -> None:
        """Begins what is ordered and new; forgets what is not ordered any more."""
        self._jobs = _jobs(state)
        self._nodes = frozenset(node.node for node in state.nodes)
        self._repairs.obey(state.repairs)

    async def watch(self) -> None:
        """Looks at logs and rounds of all other sensors, side by side, for ever."""
        every_s = self._plan.every_s
        async with asyncio.TaskGroup() as both:
            if self._logs.sensors:
                both.create_task(self._rounds(self._logs, self._take_of_logs, self._logs_pause_s))
            if self._others.sensors:
                both.create_task(self._rounds(self._others, self._take, lambda _: every_s))

    def _tell_missed(self) -> None:
        """What was not read of a log, once."""
        for gap in self._gaps.new((log for _, log in self._logs.sensors), self._clock.now_us()):
            logger.warning(MISSED, gap.log, gap.since, gap.until, gap.why)

    def _logs_pause_s(self, spent_s: float) -> float:
        every_s = self._plan.every_s
        return logs_pause_s(every_s, spent_s, is_behind=self._logs.is_behind)

    async def _rounds(
        self,
        group: SensorGroup[Any],
        take: Callable[[Polled], None],
        pause_s: Callable[[float], float],
    ) -> None:
        """Rounds of one group. Polls run in a thread, which a cancelled `watch` leaves behind."""
        unsaved_s = 0.0
        while True:
            polled = await asyncio.to_thread(group.poll, self._clock.now_us)
            self._states |= polled.states
            take(polled)
            self._seen.note(self._seen_now, self._clock.now_us())
            wait_s = pause_s(polled.spent_s)
            await self._close_windows_for(wait_s)
            unsaved_s += wait_s
            if unsaved_s >= self._plan.every_s:
                unsaved_s = 0.0
                self._save_read()

    def _take(self, polled: Polled) -> None:
        for symptom in polled.symptoms:
            self._judge(symptom, symptom.node)

    def _take_of_logs(self, polled: Polled) -> None:
        """And how far each log was read, and whose lines were left out."""
        for symptom in polled.symptoms:
            self._judge(symptom, log_name(symptom.node))
        for node, log in self._logs.sensors:
            others = log.others
            if others.lines and node not in self._has_foreign:
                self._has_foreign.add(node)
                hint = "" if others.has_own or not others.hosts[0] else FOREIGN_HINT
                logger.warning(FOREIGN, node, others.hosts[0] or "no named machine", hint)
        self._tell_missed()
        # Here and not in a report: meanwhile another thread may read them.
        self._log_states = self._gaps.states([log for _, log in self._logs.sensors])
        marks = {log_name(node): log.bookmark for node, log in self._logs.sensors}
        known = {name: mark for name, mark in marks.items() if mark is not None}
        self._marks.note(known, self._clock.now_us())

    async def _close_windows_for(self, left_s: float) -> None:
        """Closes windows as they are due, until the next round: a verdict waits for no round."""
        while left_s > 0:
            now_us = self._clock.now_us()
            self._close_windows(now_us)
            due_us = self._next_close()
            wait_s = left_s
            if due_us is not None:
                wait_s = min(left_s, max(SHORTEST_S, (due_us - now_us) / SECOND_US))
            await self._timer.sleep(wait_s)
            left_s -= wait_s
        self._close_windows(self._clock.now_us())

    def _next_close(self) -> int | None:
        """When the first window that is open closes. Costs the nodes."""
        closes = (next_close(memory) for memory in self._memories.values())
        return min((each for each in closes if each is not None), default=None)

    def _close_windows(self, now_us: int) -> None:
        for node, memory in self._memories.items():
            judged = close_windows(memory, now_us, policy=self._plan.policy)
            self._memories[node] = judged.memory
            self._keep(judged.verdicts)

    async def tell(self) -> None:
        """Reports at each news, and at least each heartbeat."""
        backoff = Backoff(self._timer)
        while True:
            await self._timer.wait(self._to_tell, HEARTBEAT_S)
            self._to_tell.clear()
            self._repairs.begin_waiting()
            report = self._report()
            try:
                await self._control_plane.report_health(report)
            except ControlPlaneError as error:
                self._to_tell.set()
                await backoff.wait("health", error)
                continue
            backoff.reset()
            for verdict in report.verdicts:
                self._waiting.pop(verdict.verdict, None)
            self._save_read()

    def _save_read(self) -> None:
        """What was judged and told is no news to the next agent. A full disk stops no report: it
        is saved with the next one."""
        if self._waiting:
            return
        untold = (next_untold(memory) for memory in self._memories.values())
        due_us = min((each for each in untold if each is not None), default=None)
        for name, read in ((SEEN, self._seen), (BOOKMARKS, self._marks)):
            read.settle(due_us)
            if read.judged == self._saved[name]:
                continue
            try:
                self._notes.keep(name, msgspec.json.encode(read.judged))
            except OSError as error:
                logger.error("how far logs were read is not saved: %s", error)
                return
            self._saved[name] = dict(read.judged)

    async def close(self) -> None:
        """Ends the repairs under way, and lets go of the sensors: at once, or where a round of
        them still waits for one, when that round ends."""
        await self._repairs.close()
        self._logs.close()
        self._others.close()

    def _judge(self, symptom: Symptom, seen: str) -> None:
        """`seen`: the name under which it is kept that everything up to it was seen."""
        source = symptom.evidence.source.value
        self._symptoms[source] = self._symptoms.get(source, 0) + 1
        memory = self._memories.get(symptom.node)
        if memory is None and symptom.node in self._nodes:
            memory = empty_memory(symptom.node)
        if memory is None or symptom.at_us <= self._seen_before.get(seen, -1):
            return
        self._seen_now[seen] = max(symptom.at_us, self._seen_now.get(seen, 0))
        if symptom.job is None:
            symptom = msgspec.structs.replace(symptom, job=self._jobs.get(symptom.node))
        judged = judge(memory, symptom, self._clock.now_us(), policy=self._plan.policy)
        self._memories[symptom.node] = judged.memory
        self._keep(judged.verdicts)

    def _keep(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.level is Level.INFO:
                continue
            if len(self._waiting) >= MOST_WAITING:
                logger.warning("too many verdicts wait; %s is dropped", verdict.verdict)
                continue
            self._waiting[verdict.verdict] = verdict
            self._to_tell.set()

    def _report(self) -> HealthReport:
        return HealthReport(
            pool=self._pool,
            at_us=self._clock.now_us(),
            verdicts=tuple(self._waiting.values()),
            repairs=self._repairs.reports(),
            kinds=self._repairs.kinds,
            sensors=tuple(
                SensorState(node=node, sensor=sensor, state=state)
                for (node, sensor), state in self._states.items()
            ),
            symptoms=tuple(sorted(self._symptoms.items())),
            surroundings=self._plan.surroundings,
            logs=self._log_states,
        )

    def _ended(self, order: RepairOrder, report: RepairReport) -> None:
        """A repair counts on the ladder, a diagnosis where it passed; either is news."""
        action, memory = _ON_LADDER.get(order.kind), self._memories.get(order.node)
        if order.is_diagnosis and report.is_done:
            action = Action.DIAGNOSE
        if action is not None and memory is not None:
            result = RepairResult.DONE if report.is_done else RepairResult.FAILED
            repair = Repair(
                device=order.device, action=action, result=result, at_us=report.ended_us
            )
            self._memories[order.node] = note_repair(memory, repair)
        self._to_tell.set()


def _jobs(state: DesiredState) -> dict[str, str | None]:
    """The workload of each node that has exactly one."""
    found: dict[str, str | None] = {}
    for attempt in state.attempts:
        for seat in attempt.ranks:
            other = found.get(seat.node, attempt.workload)
            found[seat.node] = attempt.workload if other == attempt.workload else None
    return found


def _load(notes: Notes, name: str, form: type[T]) -> T:
    try:
        return msgspec.json.decode(notes.load(name) or b"{}", type=form)
    except msgspec.DecodeError:
        return form()
