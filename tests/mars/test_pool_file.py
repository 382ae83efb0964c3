"""A pool's `mars.yaml`: what it may say, what is refused, and what the agent gets of it."""

import os
import re
from pathlib import Path

import pytest

from parkade.core.healing.incident import RepairKind
from parkade.core.healing.symptom import signals_of
from parkade.core.units.time import MINUTE_US
from parkade.mars.pool_file import (
    BadPoolFile,
    policy_of_pool,
    read_pool_file,
    repairs_of_pool,
    sensors_of_pool,
    shared_sensors_of_pool,
    surroundings_of_pool,
)
from parkade.ports import LogSensor, Sensor
from parkade.sensors.clock import HeardClock
from parkade.sensors.live import MachineSensor
from parkade.sensors.step_times import CheckpointSteps
from parkade.service.healing import health_plan
from parkade.service.settings import BadSettings
from parkade.wire.yaml import Unreadable
from tests.clocks import WallClock

PAGE = Path(__file__).parents[2] / "docs" / "mars" / "automatic.md"


def written(folder: Path, text: str) -> Path:
    path = folder / "mars.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_the_file_in_the_documentation_can_be_used(tmp_path: Path) -> None:
    _, _, section = PAGE.read_text().partition("## The agent's file")
    text = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[0]
    file = read_pool_file(written(tmp_path, text))
    sensors = sensors_of_pool(file, HeardClock().read)
    assert [it.name for it in sensors["gpu-001"]] == ["kernel_log", "dcgm"]
    assert "nvml" in [it.name for it in sensors["gpu-002"]]
    shared = shared_sensors_of_pool(file, engine_folder=tmp_path)
    assert [it.name for it in shared] == ["engine", "steps"]
    of_reports = file.model_copy(update={"steps": "checkpoints"})
    steps = shared_sensors_of_pool(of_reports, engine_folder=tmp_path)[-1]
    assert isinstance(steps, CheckpointSteps)
    places = {it.node: it for it in surroundings_of_pool(file)}
    assert (places["gpu-001"].switch, places["gpu-001"].driver) == ("leaf-3", "570.86.10")
    assert places["gpu-002"].rack == "r7"
    repairs = repairs_of_pool(file, engine_folder=tmp_path, clock=WallClock())
    assert set(repairs.kinds) == set(RepairKind)


def test_a_log_that_was_rotated_into_the_olddir_of_the_file_is_read_on(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    log.touch()
    (tmp_path / "old").mkdir()
    text = f"format: 1\nolddir: old\nnodes: {{n1: {{kernel_log: {log}}}}}\n"
    file = read_pool_file(written(tmp_path, text))
    xid = "NVRM: Xid (PCI:0000:3b:00): {}, pid=1\n"
    (sensor,) = sensors_of_pool(file, HeardClock().read)["n1"]
    assert isinstance(sensor, LogSensor)
    log.write_text(xid.format(79))
    sensor.poll(0)
    mark = sensor.bookmark
    sensor.close()
    assert mark is not None
    with log.open("a") as handle:
        handle.write(xid.format(63))
    log.rename(tmp_path / "old" / "kern.log-20261128")
    log.write_text(xid.format(74))
    (again,) = sensors_of_pool(file, HeardClock().read)["n1"]
    assert isinstance(again, LogSensor)
    again.resume(mark)
    assert [signals_of(it.fact)[0] for it in again.poll(0)] == ["xid/63", "xid/74"]
    again.close()


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "format: 1\n")
    path.chmod(0o620)
    with pytest.raises(BadPoolFile, match="chmod go-w"):
        read_pool_file(path)
    with pytest.raises(BadSettings, match="chmod go-w"):
        health_plan(tmp_path, WallClock(), HeardClock())


def test_a_file_in_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "format: 1\n")
    tmp_path.chmod(0o777)
    with pytest.raises(BadPoolFile, match=f"chmod go-w {tmp_path}"):
        read_pool_file(path)


def test_a_policy_that_others_may_write_is_refused(tmp_path: Path) -> None:
    file = read_pool_file(written(tmp_path, "format: 1\npolicy: site.yaml\n"))
    policy = tmp_path / "site.yaml"
    policy.write_text("")
    policy.chmod(0o666)
    with pytest.raises(BadPoolFile, match=r"site\.yaml"):
        policy_of_pool(file, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "format: 1\n")
    os.chown(path, 1000, 1000)
    with pytest.raises(BadPoolFile, match="another user's"):
        read_pool_file(path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("format: 2\n", "format"),
        ("format: 1\nrepairs: {reset: shipped}\n", "shipped are only validate, sanitise"),
        ("format: 1\nrepairs: {erase: simulated}\n", "repairs"),
        ("format: 1\nrepairs: {reset: {run: []}}\n", "repairs"),
        ("format: 1\nnodes: {'bad name!': {}}\n", "nodes"),
        ("format: 1\nnothing: 1\n", "nothing"),
        ("format: 1\nburn_in: 8d\n", "burn_in"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(Unreadable) as found:
        read_pool_file(written(tmp_path, text))
    assert place in str(found.value.problem)


@pytest.mark.parametrize(
    ("nodes", "burn_in", "more"),
    [
        ("{n1: {local: true}}", "90s", ["--machine", "n1", "--burn-in", "90"]),
        (
            "{n1: {local: true, gpus: 8}}",
            "5m",
            ["--gpus", "8", "--machine", "n1", "--burn-in", "300"],
        ),
        ("{n1: {local: true}, n2: {local: true}}", "5m", []),
        ("{n1: {kernel_log: /x}}", "5m", []),
        ("{n1: {local: true}}", "0s", []),
    ],
)
def test_the_one_node_that_is_the_machine_is_loaded_for_as_long_as_the_file_says(
    tmp_path: Path, nodes: str, burn_in: str, more: list[str]
) -> None:
    text = f"format: 1\nnodes: {nodes}\nburn_in: {burn_in}\nrepairs: {{validate: shipped}}\n"
    file = read_pool_file(written(tmp_path, text))
    made = repairs_of_pool(file, engine_folder=tmp_path, clock=WallClock())
    program = made.programs[RepairKind.VALIDATE]
    assert list(program.words[program.words.index("--engine") + 2 :]) == more
    loaded_s = file.burn_in.total_seconds() if "--burn-in" in more else 0
    assert program.timeout_s >= loaded_s + 300, "its looks have their time beside the load"


def test_without_a_file_nothing_is_watched_and_nothing_done(tmp_path: Path) -> None:
    assert health_plan(tmp_path, WallClock(), HeardClock()) is None


def test_a_bad_policy_is_told_with_its_file_and_place(tmp_path: Path) -> None:
    written(tmp_path, "format: 1\npolicy: site.yaml\n")
    (tmp_path / "site.yaml").write_text(
        "format: 1\nname: s\nversion: '1'\nextends: default\nrules: [{on: [xid/0x], level: odd}]\n"
    )
    with pytest.raises(BadSettings, match=r"policy .*site\.yaml: .*rules\[0\]\.level"):
        health_plan(tmp_path, WallClock(), HeardClock())


def test_a_local_nodes_clock_is_told_beside_the_servers(tmp_path: Path) -> None:
    written(tmp_path, "format: 1\nnodes: {n1: {local: true}}\n")
    heard = HeardClock()
    plan = health_plan(tmp_path, WallClock(), heard)
    assert plan is not None
    (machine,) = (it for it in plan.sensors["n1"] if isinstance(it, MachineSensor))
    assert "clock_skew" not in signals(machine)
    heard.hear(WallClock().now_us() - MINUTE_US, asked_us=heard.steady())
    assert "clock_skew" in signals(machine)


def signals(sensor: Sensor) -> list[str]:
    return [signals_of(it.fact)[0] for it in sensor.poll(WallClock().now_us())]


def test_a_path_that_only_a_shell_would_understand_is_refused(tmp_path: Path) -> None:
    text = "format: 1\npolicy: ~/p.yaml\nsteps: ~/s.jsonl\n"
    text += "nodes: {n1: {kernel_log: '/var/log/*'}}\n"
    with pytest.raises(Unreadable) as refused:
        read_pool_file(written(tmp_path, text))
    found = {fault.place: fault.message for fault in refused.value.problem.errors}
    assert "`~` is replaced by nothing" in found["policy"]
    assert "name one file" in found["nodes.n1.kernel_log"]
    assert any("`~` is replaced by nothing" in each for at, each in found.items() if "steps" in at)
