"""The agent senses and repairs, between sensors of a test and a control plane that goes away."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from parkade.agent import backoff
from parkade.agent.health import HealthPlan, HealthWatch
from parkade.agent.notes import NotesFolder
from parkade.agent.timer import LoopTimer
from parkade.core.healing.incident import Grade, RepairKind, RepairOrder, RepairReport
from parkade.core.healing.policy import Windows
from parkade.core.healing.symptom import Symptom
from parkade.core.healing.verdict import Action, Level
from parkade.core.units.time import SECOND_US
from parkade.ports import DesiredState, LogStates, NodeShape, Repairs, Seat
from parkade.sensors.gaps import Gaps
from parkade.sensors.kernel_log.live import KernelLogFile
from tests import builders
from tests.agent.fakes import FakeControlPlane
from tests.agent.test_agent import until
from tests.agent.test_plan import wanted
from tests.clocks import WallClock
from tests.core.healing.builder import policy, rule, symptom, xid

POLICY = replace(
    policy(
        rule("xid/79", Level.FATAL, Action.REBOOT),
        rule("xid/64", Level.FATAL, Action.DIAGNOSE),
        rule("xid/43", Level.INFO, Action.NONE),
    ),
    windows=Windows(coalesce_us=SECOND_US // 10),
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "MOST_S", 0.05)
    monkeypatch.setattr(backoff, "FIRST_S", 0.01)


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that runs in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Planned:
    """A sensor that sees what a test gives it, once."""

    name = "planned"
    state = "read"

    def __init__(self, *seen: Symptom) -> None:
        self.seen = list(seen)

    def poll(self, now_us: int) -> Sequence[Symptom]:
        found, self.seen = self.seen, []
        return found

    def close(self) -> None:
        return


class Counted:
    """Repairs that note each order, and wait where a test says so."""

    kinds = (RepairKind.REBOOT, RepairKind.VALIDATE)

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def carry_out(self, order: RepairOrder) -> RepairReport:
        self.orders.append(order.order)
        await self.may_end.wait()
        now_us = WallClock().now_us()
        return RepairReport(
            order=order.order,
            node=order.node,
            is_done=True,
            exit_code=0,
            says="done",
            began_us=now_us,
            ended_us=now_us,
        )


def order(name: str = "incident-1.1", kind: RepairKind = RepairKind.REBOOT) -> RepairOrder:
    return RepairOrder(
        order=name,
        incident=name.partition(".")[0],
        node="n1",
        kind=kind,
        grade=Grade.SHORT if kind is RepairKind.VALIDATE else None,
        device=None,
        ordered_us=1,
    )


def state(*orders: RepairOrder) -> DesiredState:
    return replace(builders.desired_state("here"), repairs=orders)


@asynccontextmanager
async def keeping(
    plane: FakeControlPlane, folder: Path, *seen: Symptom, repairs: Repairs | None = None
) -> AsyncIterator[HealthWatch]:
    plan = HealthPlan(
        sensors={"n1": (Planned(*seen),)}, policy=POLICY, every_s=0.02, repairs=repairs
    )
    async with running(plan, plane, folder) as keeper:
        yield keeper


@asynccontextmanager
async def running(
    plan: HealthPlan, plane: FakeControlPlane, folder: Path
) -> AsyncIterator[HealthWatch]:
    """A keeper at work, which also tells."""
    keeper = HealthWatch(
        plan, plane, pool="here", notes=NotesFolder(folder), clock=WallClock(), timer=LoopTimer()
    )
    tasks = [asyncio.create_task(keeper.watch()), asyncio.create_task(keeper.tell())]
    try:
        yield keeper
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await keeper.close()


@in_a_loop
async def test_a_fatal_symptom_is_told_with_its_evidence_and_versions(tmp_path: Path) -> None:
    plane = FakeControlPlane()
    async with keeping(plane, tmp_path, symptom(xid(43)), symptom(xid(79))):
        verdict = await until(lambda: next((v for r in plane.health for v in r.verdicts), None))
    assert (verdict.level, verdict.signal) == (Level.FATAL, "xid/79")
    assert verdict.policy == "test 1" and verdict.evidence[0].parser == "test/1"
    counted = dict(plane.health[-1].symptoms)
    assert counted == {"kernel_log": 2}, "info is counted and not told"


@in_a_loop
async def test_a_verdict_is_told_when_its_window_closes_and_not_with_the_next_round(
    tmp_path: Path,
) -> None:
    plane = FakeControlPlane()
    table = replace(
        policy(rule("xid/63", Level.DEGRADED, Action.RESET_AT_IDLE)),
        windows=Windows(coalesce_us=SECOND_US // 2),
    )
    sensor = Planned(symptom(xid(63)))
    plan = HealthPlan(sensors={"n1": (sensor,)}, policy=table, every_s=3_600.0, repairs=None)
    async with running(plan, plane, tmp_path):
        verdict = await until(lambda: next((v for r in plane.health for v in r.verdicts), None))
    assert (verdict.level, verdict.signal) == (Level.DEGRADED, "xid/63")


@in_a_loop
async def test_a_verdict_waits_until_the_control_plane_heard_it(tmp_path: Path) -> None:
    plane = FakeControlPlane()
    plane.is_down = True
    async with keeping(plane, tmp_path, symptom(xid(79)), repairs=Counted()) as keeper:
        await until(lambda: plane.failures >= 2)
        plane.is_down = False
        await until(lambda: any(report.verdicts for report in plane.health))
        heard = len(plane.health)
        keeper.desire(state(order()))
        await until(lambda: len(plane.health) > heard)
    assert sum(len(report.verdicts) for report in plane.health) == 1, "told once"


@in_a_loop
async def test_the_workload_on_the_node_is_named_as_the_job(tmp_path: Path) -> None:
    plane = FakeControlPlane()
    sensor = Planned()
    plan = HealthPlan(sensors={"n1": (sensor,)}, policy=POLICY, every_s=0.02, repairs=None)
    keeper = HealthWatch(
        plan, plane, pool="here", notes=NotesFolder(tmp_path), clock=WallClock(), timer=LoopTimer()
    )
    attempt = replace(wanted("w7.1"), ranks=(Seat(node="n1", gpus=1),))
    keeper.desire(builders.desired_state("here", attempt))
    sensor.seen.append(symptom(xid(79)))
    tasks = [asyncio.create_task(keeper.watch()), asyncio.create_task(keeper.tell())]
    verdict = await until(lambda: next((v for r in plane.health for v in r.verdicts), None))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert verdict.jobs == (attempt.workload,)


@in_a_loop
async def test_an_order_is_carried_out_once_however_often_it_is_told(tmp_path: Path) -> None:
    plane, repairs = FakeControlPlane(), Counted()
    async with keeping(plane, tmp_path, repairs=repairs) as keeper:
        for _ in range(3):
            keeper.desire(state(order()))
        await until(lambda: any(report.repairs for report in plane.health))
        keeper.desire(state(order()))
    async with keeping(plane, tmp_path, repairs=repairs) as keeper:
        keeper.desire(state(order()))
        told = len(plane.health)
        await until(lambda: len(plane.health) > told)
    assert repairs.orders == ["incident-1.1"], "not again after a restart"
    assert plane.health[-1].repairs[0].is_done


@in_a_loop
async def test_what_comes_again_after_a_passed_diagnosis_asks_for_the_vendor(
    tmp_path: Path,
) -> None:
    plane, sensor = FakeControlPlane(), Planned()
    plan = HealthPlan(sensors={"n1": (sensor,)}, policy=POLICY, every_s=0.02, repairs=Counted())
    async with running(plan, plane, tmp_path) as keeper:
        diagnosis = replace(order(kind=RepairKind.VALIDATE), grade=Grade.LONG, is_diagnosis=True)
        keeper.desire(state(diagnosis))
        await until(lambda: any(report.repairs for report in plane.health))
        sensor.seen.append(symptom(xid(64)))
        verdict = await until(lambda: next((v for r in plane.health for v in r.verdicts), None))
    assert verdict.action is Action.RMA
    assert "diagnose was tried and did not last" in verdict.reasons


@in_a_loop
async def test_an_order_in_whose_middle_the_agent_ended_is_told_as_failed(tmp_path: Path) -> None:
    plane, repairs = FakeControlPlane(), Counted()
    repairs.may_end.clear()
    async with keeping(plane, tmp_path, repairs=repairs) as keeper:
        keeper.desire(state(order(kind=RepairKind.VALIDATE)))
        await until(lambda: repairs.orders)
    async with keeping(plane, tmp_path, repairs=repairs) as keeper:
        keeper.desire(state(order(kind=RepairKind.VALIDATE)))
        await until(lambda: plane.health and plane.health[-1].repairs)
    (report,) = plane.health[-1].repairs
    assert not report.is_done and "ended in its middle" in report.says
    assert repairs.orders == ["incident-1.1"]


@in_a_loop
async def test_a_reboot_of_the_machine_is_done_when_the_agent_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane, repairs = FakeControlPlane(), Counted()
    repairs.may_end.clear()
    async with keeping(plane, tmp_path, repairs=repairs) as keeper:
        keeper.desire(state(order()))
        await until(lambda: repairs.orders)
    boot = tmp_path / "boot"
    boot.write_text("another boot")
    monkeypatch.setattr("parkade.boots.BOOT_ID", boot)
    async with keeping(plane, tmp_path, repairs=repairs) as keeper:
        keeper.desire(state(order()))
        await until(lambda: plane.health and plane.health[-1].repairs)
    assert plane.health[-1].repairs[0].is_done


@in_a_loop
async def test_an_order_of_what_is_not_configured_fails_at_once(tmp_path: Path) -> None:
    plane = FakeControlPlane()
    async with keeping(plane, tmp_path, repairs=Counted()) as keeper:
        keeper.desire(state(order(kind=RepairKind.SANITISE)))
        await until(lambda: plane.health and plane.health[-1].repairs)
    assert "not configured" in plane.health[-1].repairs[0].says


@in_a_loop
async def test_old_lines_of_the_kernel_are_no_news_to_the_next_agent(tmp_path: Path) -> None:
    plane = FakeControlPlane()
    async with keeping(plane, tmp_path, symptom(xid(79), 100)):
        await until(lambda: any(report.verdicts for report in plane.health))
        await until(lambda: (tmp_path / "seen.json").exists())
    first = len(plane.health)
    seen = (symptom(xid(79), 100), symptom(xid(79), 200))
    async with keeping(plane, tmp_path, *seen, repairs=Counted()) as keeper:
        await until(lambda: any(report.verdicts for report in plane.health[first:]))
        await until(lambda: b"200000000" in (tmp_path / "seen.json").read_bytes())
        saved = (tmp_path / "seen.json").stat()
        told = len(plane.health)
        keeper.desire(state(order()))
        await until(lambda: len(plane.health) > told)
        assert (tmp_path / "seen.json").stat().st_ino == saved.st_ino, "no news, no write"
    again = {it.verdict: it for report in plane.health[first:] for it in report.verdicts}
    assert [it.evidence[0].at_us for it in again.values()] == [200_000_000]


@in_a_loop
async def test_a_line_that_came_between_two_agents_is_judged_and_an_old_one_is_not(
    tmp_path: Path,
) -> None:
    log, notes = tmp_path / "kern.log", tmp_path / "bookmarks.json"
    log.touch()

    def append(slot: str) -> None:
        with log.open("a") as handle:
            handle.write(f"NVRM: Xid (PCI:0000:{slot}:00): 79, GPU has fallen off the bus.\n")

    async def told(*, before: str | None, after: str | None) -> set[str | None]:
        """The devices that an agent tells of; each line is appended before or after it began."""
        if before is not None:
            append(before)
        sensors = {"n1": (KernelLogFile(log, node="n1"),)}
        plan = HealthPlan(sensors=sensors, policy=POLICY, every_s=0.02, repairs=None)
        plane = FakeControlPlane()
        async with running(plan, plane, tmp_path):
            if after is not None:
                append(after)
            end = f":{log.stat().st_size}:"
            await until(lambda: notes.exists() and end in notes.read_text())
        return {it.device for report in plane.health for it in report.verdicts}

    assert await told(before=None, after="01") == {"0000:01:00"}
    assert await told(before="02", after=None) == {"0000:02:00"}
    assert await told(before=None, after="03") == {"0000:03:00"}


@in_a_loop
async def test_lines_that_a_cut_may_have_lost_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "kern.log"
    log.write_text("usb 1-1: new device\n")
    plan = HealthPlan(
        sensors={"n1": (KernelLogFile(log, node="n1"),)}, policy=POLICY, every_s=0.02, repairs=None
    )
    plane = FakeControlPlane()
    async with running(plan, plane, tmp_path):
        await until(lambda: any(it.logs is not None for it in plane.health))
        assert next(it.logs for it in plane.health if it.logs is not None) == LogStates()
        log.write_text("")
        await until(lambda: f"{log}: lines may have been missed, from 2" in caplog.text)
        with log.open("a") as handle:
            handle.write("usb 1-1: gone\n")
        notes = tmp_path / "bookmarks.json"
        await until(lambda: notes.exists() and f":{log.stat().st_size}:" in notes.read_text())
        await until(lambda: plane.health[-1].logs is not None and plane.health[-1].logs.gaps)
        assert plane.health[-1].logs is not None and plane.health[-1].logs.gaps == 1
        assert plane.health[-1].logs.gap_end_us is not None
    assert caplog.text.count("lines may have been missed") == 1


def test_of_several_logs_the_one_that_is_most_behind_counts(tmp_path: Path) -> None:
    logs = []
    for name, lines in (("a", 5), ("b", 2)):
        (tmp_path / name).write_text("line\n" * 20_000 * lines)
        logs.append(KernelLogFile(tmp_path / name, node=name, from_end=False))
        logs[-1].poll(0)
    states = Gaps().states(logs)
    assert states is not None
    assert states.unread_bytes == sum(log.backlog.unread_bytes for log in logs) > 0
    assert states.behind_us > 0 and (states.gaps, states.gap_end_us) == (0, None)
    assert Gaps().states([]) is None, "of no log nothing is said"
    for log in logs:
        log.close()


class Hanging:
    """A sensor that answers no poll until it is let go."""

    name = "hanging"
    state = "read"

    def __init__(self) -> None:
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def poll(self, now_us: int) -> Sequence[Symptom]:
        self.is_asked.set()
        assert self.may_answer.wait(120)
        return ()

    def close(self) -> None:
        return


@in_a_loop
async def test_a_line_of_a_log_waits_for_no_other_sensor_and_for_no_round(tmp_path: Path) -> None:
    log, hanging, plane = tmp_path / "kern.log", Hanging(), FakeControlPlane()
    log.touch()
    sensors = {"n1": (hanging, KernelLogFile(log, node="n1"))}
    plan = HealthPlan(sensors=sensors, policy=POLICY, every_s=3_600.0, repairs=None)
    async with running(plan, plane, tmp_path):
        await until(hanging.is_asked.is_set)
        with log.open("a") as handle:
            handle.write("NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.\n")
        verdict = await until(lambda: next((v for r in plane.health for v in r.verdicts), None))
        hanging.may_answer.set()
    assert (verdict.node, verdict.signal) == ("n1", "xid/79")


@in_a_loop
async def test_a_line_that_is_read_after_a_later_reading_of_a_gpu_is_judged_after_a_restart(
    tmp_path: Path,
) -> None:
    log, seen = tmp_path / "kern.log", tmp_path / "seen.json"
    log.touch()

    def plan(*other: Symptom) -> HealthPlan:
        sensors = {"n1": (Planned(*other), KernelLogFile(log, node="n1"))}
        return HealthPlan(sensors=sensors, policy=POLICY, every_s=0.02, repairs=None)

    async with running(plan(symptom(xid(79), 1_700_000_100)), FakeControlPlane(), tmp_path):
        await until(lambda: seen.exists() and b"1700000100" in seen.read_bytes())
    stamp = datetime.fromtimestamp(1_700_000_099, UTC).isoformat()
    log.write_text(f"{stamp} n1 kernel: NVRM: Xid (PCI:0000:02:00): 79, GPU is lost.\n")
    plane = FakeControlPlane()
    async with running(plan(), plane, tmp_path):
        verdict = await until(lambda: next((v for r in plane.health for v in r.verdicts), None))
    assert verdict.device == "0000:02:00"


@in_a_loop
async def test_a_sensor_that_speaks_for_several_nodes_is_judged_for_those_of_the_pool(
    tmp_path: Path,
) -> None:
    plane = FakeControlPlane()
    seen = (symptom(xid(79), node="n2"), symptom(xid(79), node="of-another-pool"))
    shared = Planned()
    plan = HealthPlan(sensors={}, policy=POLICY, every_s=0.02, repairs=None, shared=(shared,))
    nodes = (NodeShape(node="n2", gpus=8),)
    async with running(plan, plane, tmp_path) as keeper:
        keeper.desire(replace(state(), nodes=nodes))
        shared.seen += seen
        await until(lambda: any(report.verdicts for report in plane.health))
    told = {verdict.node for report in plane.health for verdict in report.verdicts}
    assert told == {"n2"}
