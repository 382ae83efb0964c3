"""The agent's eyes and hands: polls sensors, judges, tells verdicts; carries out repairs once.

Sensing, telling and repairing go on independently, and beside the agent's other work: a sensor that
hangs delays no launch. Verdicts wait until the control plane heard them. An order is written down
before it begins and again when it ended, so that an agent that is started anew never does a thing
twice; an order in whose middle the agent ended is reported as failed, but for a reboot of the
machine, which it brought about.

A kernel's ring gives its old lines to each new agent. So the agent keeps, for each node, until when
it had seen and told everything, and what is older than that is not news.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import ControlPlane, ControlPlaneError
from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from parkade.core.healing.judge import close_windows, judge, note_repair
from parkade.core.healing.ladder import Repair, Result
from parkade.core.healing.memory import NodeMemory, empty_memory
from parkade.core.healing.policy import Policy
from parkade.core.healing.symptom import Symptom
from parkade.core.healing.verdict import Action, Level, Verdict
from parkade.ports import Clock, DesiredState, HealthReport, Repairs, Sensor, SensorState, Timer

HEARTBEAT_S = 10.0
MOST_WAITING = 10_000
FILE = "repairs.json"
SEEN = "seen.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ON_LADDER = {RepairKind.RESET: Action.RESET_GPU, RepairKind.REBOOT: Action.REBOOT}

logger = logging.getLogger("parkade.agent.health")


class HealthPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool's agent watches and may do; `repairs` None: it only watches."""

    sensors: Mapping[str, Sequence[Sensor]]
    policy: Policy
    every_s: float
    repairs: Repairs | None


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An order on disk; `report` None: it was under way, in the boot named."""

    order: RepairOrder
    boot: str
    report: RepairReport | None


class HealthKeeper:
    """See the module. `desire` is called with each desired state, `watch` and `tell` run beside."""

    def __init__(
        self,
        plan: HealthPlan,
        control_plane: ControlPlane,
        *,
        pool: str,
        folder: Path,
        clock: Clock,
        timer: Timer,
    ) -> None:
        self._plan = plan
        self._control_plane = control_plane
        self._pool = pool
        self._file = folder / FILE
        self._clock = clock
        self._timer = timer
        self._memories: dict[str, NodeMemory] = {node: empty_memory(node) for node in plan.sensors}
        self._jobs: dict[str, str | None] = {}
        self._waiting: dict[str, Verdict] = {}
        self._symptoms: dict[str, int] = {}
        self._states: dict[tuple[str, str], str] = {}
        self._begun = _load(self._file)
        self._seen_file = folder / SEEN
        self._seen_before = _load_seen(self._seen_file)
        self._seen = dict(self._seen_before)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._to_tell = asyncio.Event()
        self._to_tell.set()

    def desire(self, state: DesiredState) -> None:
        """Begins what is ordered and new; forgets what is not ordered any more."""
        self._jobs = _jobs(state)
        ordered = {order.order for order in state.repairs}
        gone = [name for name in self._begun if name not in ordered and name not in self._tasks]
        for name in gone:
            del self._begun[name]
        if gone:
            _save(self._file, self._begun)
        for order in state.repairs:
            if order.order not in self._begun:
                self._begin(order)
            elif self._begun[order.order].report is None and order.order not in self._tasks:
                self._end(order, _interrupted(self._begun[order.order], self._clock.now_us()))

    async def watch(self) -> None:
        """Rounds of all sensors, for ever."""
        while self._plan.sensors:
            polled = await asyncio.to_thread(self._poll)
            for symptom in polled:
                self._judge(symptom)
            now_us = self._clock.now_us()
            for node, memory in self._memories.items():
                judged = close_windows(memory, now_us, policy=self._plan.policy)
                self._memories[node] = judged.memory
                self._keep(judged.verdicts)
            await self._timer.sleep(self._plan.every_s)

    async def tell(self) -> None:
        """Reports at each news, and at least each heartbeat."""
        backoff = Backoff(self._timer)
        while True:
            await self._timer.wait(self._to_tell, HEARTBEAT_S)
            self._to_tell.clear()
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
            if not self._waiting:
                _write(self._seen_file, msgspec.json.encode(self._seen))

    async def close(self) -> None:
        """Ends the repairs under way, and lets go of the sensors."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for sensors in self._plan.sensors.values():
            for sensor in sensors:
                sensor.close()

    def _poll(self) -> list[Symptom]:
        found: list[Symptom] = []
        for node, sensors in self._plan.sensors.items():
            for sensor in sensors:
                found += sensor.poll(self._clock.now_us())
                self._states[node, sensor.name] = sensor.state
        return found

    def _judge(self, symptom: Symptom) -> None:
        source = symptom.evidence.source.value
        self._symptoms[source] = self._symptoms.get(source, 0) + 1
        memory = self._memories.get(symptom.node)
        if memory is None or symptom.at_us <= self._seen_before.get(symptom.node, -1):
            return
        self._seen[symptom.node] = max(symptom.at_us, self._seen.get(symptom.node, 0))
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
        repairs = self._plan.repairs
        return HealthReport(
            pool=self._pool,
            at_us=self._clock.now_us(),
            verdicts=tuple(self._waiting.values()),
            repairs=tuple(it.report for it in self._begun.values() if it.report is not None),
            kinds=() if repairs is None else repairs.kinds,
            sensors=tuple(
                SensorState(node=node, sensor=sensor, state=state)
                for (node, sensor), state in self._states.items()
            ),
            symptoms=tuple(sorted(self._symptoms.items())),
        )

    def _begin(self, order: RepairOrder) -> None:
        self._begun[order.order] = _Begun(order=order, boot=_boot(), report=None)
        _save(self._file, self._begun)
        logger.info("%s of %s begins: %s", order.kind.value, order.node, order.order)
        task = asyncio.create_task(self._carry_out(order))
        self._tasks[order.order] = task
        task.add_done_callback(lambda _: self._tasks.pop(order.order, None))

    async def _carry_out(self, order: RepairOrder) -> None:
        repairs = self._plan.repairs
        if repairs is None or order.kind not in repairs.kinds:
            now_us = self._clock.now_us()
            self._end(order, _failed(order, f"{order.kind.value} is not configured here", now_us))
            return
        self._end(order, await repairs.carry_out(order))

    def _end(self, order: RepairOrder, report: RepairReport) -> None:
        begun = self._begun[order.order]
        self._begun[order.order] = msgspec.structs.replace(begun, report=report)
        _save(self._file, self._begun)
        how = "done" if report.is_done else "failed"
        logger.info("%s of %s %s: %s", order.kind.value, order.node, how, report.says)
        action, memory = _ON_LADDER.get(order.kind), self._memories.get(order.node)
        if order.is_diagnosis and report.is_done:
            action = Action.DIAGNOSE
        if action is not None and memory is not None:
            result = Result.DONE if report.is_done else Result.FAILED
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
            found[seat.node] = None if seat.node in found else attempt.workload
    return found


def _failed(order: RepairOrder, says: str, now_us: int) -> RepairReport:
    return RepairReport(
        order=order.order,
        node=order.node,
        is_done=False,
        exit_code=None,
        says=says,
        began_us=now_us,
        ended_us=now_us,
    )


def _interrupted(begun: _Begun, now_us: int) -> RepairReport:
    """What became of an order in whose middle the agent ended."""
    report = _failed(begun.order, "the agent ended in its middle", now_us)
    if begun.order.kind is RepairKind.REBOOT and begun.boot != _boot():
        says = "the machine was started anew"
        return msgspec.structs.replace(report, is_done=True, exit_code=0, says=says)
    return report


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _load(path: Path) -> dict[str, _Begun]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, _Begun])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _save(path: Path, begun: dict[str, _Begun]) -> None:
    _write(path, msgspec.json.encode(begun))


def _load_seen(path: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _write(path: Path, content: bytes) -> None:
    """Replaced in one rename, so that it is never torn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
