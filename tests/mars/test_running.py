"""Mars alone: rounds over a real log file, drains by real commands, and its journal."""

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from parkade.core.healing.guards import HoldReason
from parkade.core.healing.symptom import Symptom
from parkade.core.units.time import SECOND_US
from parkade.mars.bookmarks import load_bookmarks
from parkade.mars.drain_journal import DrainError
from parkade.mars.drains import Drains
from parkade.mars.kept_file import KeptFileError
from parkade.mars.policy_file import shipped_policy
from parkade.mars.run_file import EngineEntry, RunFile, default_run_file, read_run_file
from parkade.mars.running import MarsRunner, sensors_of
from parkade.sensors.kernel_log.live import KernelRing
from parkade.wire.yaml import Unreadable
from tests.core.healing.builder import symptom, xid
from tests.mars.scene import CLUSTER, MAIN, XID, Scene, shown
from tests.sensors.ring import HeldRecords
from tests.waits import PATIENCE_S, until


def test_by_default_nothing_is_drained(scene: Scene) -> None:
    file = scene.file(act=False)
    runner = scene.runner(file)
    scene.write("n0")
    (decision,) = runner.round()
    assert decision.held is HoldReason.OBSERVE_ONLY
    assert scene.is_drained("n0") == ""
    assert default_run_file().act is False


def test_a_sick_node_is_drained_with_a_reason_and_shown(scene: Scene) -> None:
    runner = scene.runner(scene.file(nodes=3))
    scene.write("n1")
    runner.round()
    assert "parkade-mars:" in scene.is_drained("n1")
    assert "fatal xid/79" in scene.is_drained("n1")
    found = shown(runner)
    labels = 'action="reboot",device="0000:3b:00",node="n1",signal="xid/79"'
    assert found[f"parkade_mars_verdict_level{{{labels}}}"] == 3
    assert found["parkade_mars_drained_nodes"] == 1
    assert found['parkade_mars_sensor_up{node="n0",sensor="kernel_log"}'] == 1


def test_a_window_that_closes_between_two_rounds_is_told_then(scene: Scene) -> None:
    runner = scene.runner(scene.file(act=False))
    scene.write(
        "n0", XID.replace(" 79,", " 63,").replace("GPU has fallen off the bus", "Row remap")
    )
    assert runner.round() == ()
    scene.now_us += 4 * SECOND_US
    assert runner.close_windows() == (), "within the window nothing is told"
    scene.now_us += 1 * SECOND_US
    (decision,) = runner.close_windows()
    assert decision.verdict.signal == "xid/63"
    assert any("parkade_mars_verdict_level" in name and "xid/63" in name for name in shown(runner))


def test_a_configured_sensor_that_cannot_be_read_is_down(scene: Scene) -> None:
    file = scene.file(nodes=3, act=False)
    (scene.folder / "n0.log").unlink()
    (scene.folder / "n1.log").unlink()
    (scene.folder / "n1.log").mkdir()
    engine = EngineEntry(command=(str(scene.folder / "no-sinfo"),))
    runner = scene.runner(file.model_copy(update={"engine": engine}))
    runner.round()
    found = shown(runner)
    up = {
        node: found[f'parkade_mars_sensor_up{{node="{node}",sensor="{sensor}"}}']
        for node, sensor in (
            ("n0", "kernel_log"),
            ("n1", "kernel_log"),
            ("n2", "kernel_log"),
            ("engine", "engine"),
        )
    }
    assert up == {"n0": 0, "n1": 0, "n2": 1, "engine": 0}
    assert set(runner.unread) == {
        ("n0", "kernel_log"),
        ("n1", "kernel_log"),
        ("engine", "engine"),
    }
    scene.write("n0")
    assert [each.verdict.node for each in runner.round()] == ["n0"]
    assert ("n0", "kernel_log") not in runner.unread


@pytest.mark.parametrize("says", ["", "no such partition", "ghost|idle|none"])
def test_an_engine_that_names_no_node_of_the_file_is_down(scene: Scene, says: str) -> None:
    program = scene.folder / "sinfo"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    engine = EngineEntry(command=(str(program),))
    runner = scene.runner(scene.file(act=False).model_copy(update={"engine": engine}))
    runner.round()
    assert shown(runner)['parkade_mars_sensor_up{node="engine",sensor="engine"}'] == 0
    assert str(program) in runner.unread["engine", "engine"]
    program.write_text("#!/bin/sh\necho 'n0|idle|none'\n")
    runner.round()
    assert not runner.unread


def test_a_line_of_another_machine_blames_no_node_and_is_told_once(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = scene.runner(scene.file(nodes=2))
    for _ in range(2):
        scene.write("n0", f"Nov 27 10:00:00 gpu-7 kernel: {XID}")
        assert runner.round() == ()
    assert scene.is_drained("n0") == ""
    found = shown(runner)
    assert found['parkade_mars_kernel_lines_of_other_hosts{node="n0"}'] == 2
    assert found['parkade_mars_kernel_lines_of_other_hosts{node="n1"}'] == 0
    told = capfd.readouterr().err
    assert "give n0 `host: gpu-7`" in told
    assert told.count("lines left out") == 1
    scene.write("n0", f"Nov 27 10:00:00 n0.example.org kernel: {XID}")
    runner.round()
    assert scene.is_drained("n0")


def shared_log(scene: Scene, *, nodes: int) -> RunFile:
    """Nodes that share one log, and one with a log of its own, n0."""
    file = scene.file(nodes=nodes)
    log = scene.folder / "all.log"
    log.touch()
    shared = [each.model_copy(update={"kernel_log": log}) for each in file.nodes[1:]]
    return file.model_copy(update={"nodes": (file.nodes[0], *shared)})


def test_of_a_shared_log_each_unknown_machine_is_told_once_and_at_most_five(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = scene.runner(shared_log(scene, nodes=60))
    for host in ("n7", "n8.example.org", "n0", "ghost-1", *(f"ghost-{at}" for at in range(2, 9))):
        scene.write("all", f"Nov 27 10:00:00 {host} kernel: {XID}")
    runner.round()
    scene.write("all", f"Nov 27 10:00:00 ghost-1 kernel: {XID}")
    runner.round()
    told = [line for line in capfd.readouterr().err.splitlines() if "lines left out" in line]
    assert len(told) == 6, told
    assert "machine='n0'" in told[0] and "it is in the file, with another log" in told[0]
    assert "machine='ghost-1'" in told[1] and "add it to `nodes`" in told[1]
    assert "more_machines=4" in told[5]
    assert not any("host:" in line for line in told), "no unrelated machine is a node's own"
    assert scene.is_drained("n7")
    assert scene.is_drained("n8")
    assert scene.is_drained("n0") == ""
    found = shown(runner)
    assert found['parkade_mars_kernel_lines_of_other_hosts{node="n7"}'] == 10
    assert found['parkade_mars_kernel_lines_of_other_hosts{node="n0"}'] == 0


def test_of_two_machines_under_a_nodes_short_name_neither_is_the_node(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = scene.runner(shared_log(scene, nodes=3))
    scene.write("all", "Nov 27 10:00:00 n1.prod.example.org kernel: usb 1-1: a new device")
    scene.write("all", f"Nov 27 10:00:00 n1.test.example.org kernel: {XID}")
    runner.round()
    scene.write("all", f"Nov 27 10:00:00 n1.prod.example.org kernel: {XID}")
    runner.round()
    assert "n1 is the short name of two machines" in capfd.readouterr().err
    assert scene.is_drained("n1") == ""


def test_a_line_without_a_machine_in_a_shared_log_blames_none(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = scene.runner(shared_log(scene, nodes=3))
    scene.write("all", "Nov 27 10:00:00 n1 sshd[12]: Accepted publickey for ann")
    runner.round()
    assert "lines left out" not in capfd.readouterr().err
    scene.write("all")
    assert runner.round() == ()
    assert capfd.readouterr().err.count("these lines name no machine, and several nodes share") == 1


def test_a_machine_in_a_log_that_names_its_node_too_is_not_taken_for_it(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = scene.runner(scene.file())
    scene.write("n0", "Nov 27 10:00:00 n0 kernel: usb 1-1: new device")
    scene.write("n0", f"Nov 27 10:00:00 gpu-7 kernel: {XID}")
    runner.round()
    told = capfd.readouterr().err
    assert "gpu-7" in told and "host:" not in told


def test_a_node_may_have_another_name_in_its_log(scene: Scene) -> None:
    file = scene.file()
    (entry,) = file.nodes
    named = entry.model_copy(update={"host": ("ip-10-0-0-7",)})
    runner = scene.runner(file.model_copy(update={"nodes": (named,)}))
    scene.write("n0", f"Nov 27 10:00:00 ip-10-0-0-7 kernel: {XID}")
    runner.round()
    assert scene.is_drained("n0")


def test_one_round_tells_each_unread_sensor_once_and_ends_with_its_code(scene: Scene) -> None:
    file = scene.folder / "mars.yaml"
    file.write_text(
        "format: 1\nlisten: 127.0.0.1:0\nevery: 1s\n"
        "nodes: [{node: n0, kernel_log: absent.log}, {node: n1, kernel_log: n1.log}]\n"
        "engine: {command: ['false']}\n"
    )
    (scene.folder / "n1.log").touch()
    words = [sys.executable, "-c", MAIN, "mars", "run", "--config", "mars.yaml", "--rounds", "2"]
    done = subprocess.run(
        words, cwd=scene.folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 6, done.stderr
    assert done.stderr.count("absent.log is not there") == 1
    assert done.stderr.count("sensor cannot be read") == 2
    assert "n1" not in done.stderr


class Hanging:
    """A sensor that answers no poll until it is let go."""

    name = "hanging"
    state = "read"

    def __init__(self) -> None:
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def poll(self, now_us: int) -> Sequence[Symptom]:
        self.is_asked.set()
        assert self.may_answer.wait(120)
        return [symptom(xid(95), node="n0")]

    def close(self) -> None:
        return


def test_a_line_of_a_log_waits_for_no_other_sensor_and_for_no_round(scene: Scene) -> None:
    file = scene.file(act=False).model_copy(update={"every": timedelta(hours=1)})
    hanging = Hanging()
    sensors = {"n0": (hanging, *sensors_of(file)["n0"])}
    runner = MarsRunner(file, shipped_policy(), sensors, now=lambda: time.time_ns() // 1_000)
    scene.runners.append(runner)
    stopped = threading.Event()
    loop = threading.Thread(target=runner.run, args=(stopped,))
    loop.start()
    assert hanging.is_asked.wait(120)
    scene.write("n0")
    until(lambda: any("xid/79" in name for name in shown(runner)))
    hanging.may_answer.set()
    until(lambda: any("xid/95" in name for name in shown(runner)))
    stopped.set()
    loop.join(120)
    assert not loop.is_alive()


def test_a_verdict_is_over_when_nothing_was_seen_for_long(scene: Scene) -> None:
    runner = scene.runner(scene.file(act=False))
    scene.write("n0")
    runner.round()
    scene.now_us += 179 * SECOND_US
    runner.round()
    assert any("verdict_level{" in name for name in shown(runner))
    scene.now_us += 2 * SECOND_US
    runner.round()
    assert not any("verdict_level{" in name for name in shown(runner))
    scene.write("n0")
    runner.round()
    assert any("verdict_level{" in name for name in shown(runner))


def test_a_persons_drain_is_left_alone_before_and_after(scene: Scene) -> None:
    file = scene.file(nodes=60)
    (scene.drained / "n0").write_text("ann: new fan")
    runner = scene.runner(file)
    scene.write("n0")
    scene.write("n1")
    runner.round()
    assert scene.is_drained("n0") == "ann: new fan"
    assert "parkade-mars:" in scene.is_drained("n1")
    (scene.drained / "n1").write_text("bob: took over")
    assert file.drain is not None
    assert file.journal is not None
    drains = Drains(file.drain, file.journal)
    assert [each.node for each in drains.own] == ["n1"]
    assert "another reason" in (drains.undo("n1", 0) or "")
    assert drains.undo("n0", 0) == "not drained by Mars"
    assert scene.is_drained("n1") == "bob: took over"
    assert scene.is_drained("n0") == "ann: new fan"


def test_own_drains_survive_a_restart_and_are_undone(scene: Scene) -> None:
    file = scene.file()
    runner = scene.runner(file)
    scene.write("n0")
    runner.round()
    assert file.drain is not None
    assert file.journal is not None
    again = Drains(file.drain, file.journal)
    assert [each.node for each in again.own] == ["n0"]
    assert again.undo("n0", scene.now_us) is None
    assert scene.is_drained("n0") == ""
    assert Drains(file.drain, file.journal).own == ()


def test_no_more_nodes_are_drained_than_the_cluster_may_have(scene: Scene) -> None:
    runner = scene.runner(scene.file(nodes=100, most=2))
    for number in (0, 9, 18):
        scene.write(f"n{number}")
        scene.now_us += 700 * SECOND_US
        runner.round()
    assert len(list(scene.drained.iterdir())) == 2
    assert shown(runner)['parkade_mars_drains_total{result="refused"}'] == 1


def test_a_rack_that_fails_is_not_drained(scene: Scene) -> None:
    runner = scene.runner(scene.file(nodes=80))
    for number in range(8):
        scene.write(f"n{number}")
    runner.round()
    assert len(list(scene.drained.iterdir())) <= 2
    found = shown(runner)
    assert found["parkade_mars_suspected_parents"] >= 1
    assert found['parkade_mars_parent_suspected{kind="rack",name="r0"}'] == 1
    assert 'parkade_mars_fabric_breaker_open{fabric="default"}' in found


def test_a_node_of_two_partitions_that_is_not_drained_is_drained(scene: Scene) -> None:
    program = scene.folder / "cluster"
    twice = '  reason) { cat "$2" 2>/dev/null || echo none; } | sed "p" ;;'
    lines = program.read_text().splitlines()
    program.write_text("\n".join(twice if "reason)" in line else line for line in lines))
    runner = scene.runner(scene.file())
    scene.write("n0")
    runner.round()
    assert "parkade-mars:" in scene.is_drained("n0")


def test_a_drain_that_leaves_no_mark_is_told_and_none_of_ours(scene: Scene) -> None:
    program = scene.folder / "cluster"
    program.write_text(program.read_text().replace('printf %s "$3" > "$2"', "true"))
    runner = scene.runner(scene.file())
    scene.write("n0")
    for _ in range(3):
        runner.round()
    journal = (scene.folder / "drains.jsonl").read_text()
    assert journal.count('"intended"') == 1 and '"drained"' not in journal
    assert shown(runner)["parkade_mars_drained_nodes"] == 0


@pytest.mark.parametrize(
    ("command", "word", "named"),
    [
        ("set", "{node}", "`set` needs {node}"),
        ("set", "{reason}", "`set` needs {reason}"),
        ("reason", "{node}", "`reason` needs {node}"),
        ("undo", "{node}", "`undo` needs {node}"),
    ],
)
def test_a_command_that_could_drain_another_node_is_refused(
    scene: Scene, command: str, word: str, named: str
) -> None:
    scene.mars_file()
    text = (scene.folder / "mars.yaml").read_text()
    text = text.replace(f"{command}, '{{node}}'", f"{command}, 'n'") if "node" in word else text
    text = text.replace("'{reason}'", "because") if "reason" in word else text
    with pytest.raises(Unreadable) as refused:
        read_run_file(text)
    (fault,) = refused.value.problem.errors
    assert fault.place == f"drain.{command}" and fault.message.startswith(named)


def test_a_command_that_fails_is_told_and_stops_nothing(scene: Scene) -> None:
    runner = scene.runner(scene.file(nodes=2))
    (scene.folder / "cluster").write_text("#!/bin/sh\necho broken >&2; exit 7\n")
    scene.write("n0")
    runner.round()
    assert runner.round() == ()
    assert shown(runner)['parkade_mars_drains_total{result="failed"}'] == 2


def test_a_drain_whose_command_failed_is_done_once_the_command_works(scene: Scene) -> None:
    file = scene.file(nodes=2)
    runner = scene.runner(file)
    (scene.folder / "cluster").write_text("#!/bin/sh\necho broken >&2; exit 7\n")
    scene.write("n0")
    runner.round()
    runner.close()
    again = scene.runner(file)
    again.round()
    assert scene.is_drained("n0") == "", "the command fails still"
    (scene.folder / "cluster").write_text(CLUSTER)
    again.round()
    assert "fatal xid/79" in scene.is_drained("n0")
    again.round()
    assert shown(again)['parkade_mars_drains_total{result="done"}'] == 1


def ring_runner(scene: Scene, records: list[str], boot: str = "b1") -> MarsRunner:
    """A runner over n0, whose log is a kernel's ring."""
    file = scene.file()
    ring = KernelRing(node="n0", records=lambda: HeldRecords(records), boot=lambda: boot)
    runner = MarsRunner(file, shipped_policy(), {"n0": (ring,)}, now=lambda: scene.now_us)
    scene.runners.append(runner)
    return runner


def record(number: int, line: str = XID) -> str:
    """A record of the kernel of just now."""
    since_boot_us = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000
    return f"4,{number},{since_boot_us},-;{line}"


def undo(scene: Scene) -> None:
    file = scene.file()
    assert file.drain is not None
    assert file.journal is not None
    drains = Drains(file.drain, file.journal)
    assert [drains.undo(each.node, scene.now_us) for each in drains.own] == [None]


def test_an_old_line_of_the_ring_drains_nothing_after_undo_and_restart(scene: Scene) -> None:
    records = [record(7)]
    ring_runner(scene, records).round()
    assert scene.is_drained("n0")
    undo(scene)
    again = ring_runner(scene, records)
    assert again.round() == ()
    assert scene.is_drained("n0") == ""
    assert any("xid/79" in name for name in shown(again)), "its verdict goes on standing"
    scene.now_us += 200 * SECOND_US
    records.append(record(8))
    again.round()
    assert scene.is_drained("n0"), "a new line drains"


def test_another_boot_of_the_machine_has_new_lines(scene: Scene) -> None:
    ring_runner(scene, [record(7)]).round()
    undo(scene)
    ring_runner(scene, [record(3)], boot="b2").round()
    assert scene.is_drained("n0")


def test_a_line_whose_window_was_open_at_a_kill_is_judged_again(scene: Scene) -> None:
    degraded = XID.replace(" 79,", " 63,").replace("GPU has fallen off the bus", "Row remap")
    records = [record(7, degraded)]
    assert ring_runner(scene, records).round() == ()
    again = ring_runner(scene, records)
    assert again.round() == ()
    scene.now_us += 5 * SECOND_US
    assert [each.verdict.signal for each in again.close_windows()] == ["xid/63"]
    last = ring_runner(scene, records)
    last.round()
    scene.now_us += 5 * SECOND_US
    assert last.close_windows() == ()


def test_a_program_killed_in_a_drain_drains_once(scene: Scene) -> None:
    program = scene.folder / "cluster"
    program.write_text(CLUSTER.replace('> "$2" ;;', '> "$2"; kill -9 $PPID ;;'))
    killed = os.fork()
    if killed == 0:
        ring_runner(scene, [record(7)]).round()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(killed, 0)[1]) == -9
    first = scene.is_drained("n0")
    assert first, "the command ran before the kill"
    program.write_text(CLUSTER)
    ring_runner(scene, [record(7)]).round()
    assert scene.is_drained("n0") == first


def test_a_node_that_a_person_returned_is_drained_for_a_new_fault(scene: Scene) -> None:
    runner = scene.runner(scene.file())
    scene.write("n0")
    runner.round()
    (scene.drained / "n0").unlink()
    scene.now_us += 200 * SECOND_US
    scene.write("n0")
    runner.round()
    assert "parkade-mars:" in scene.is_drained("n0")


def test_bookmarks_of_the_first_version_are_still_read() -> None:
    assert load_bookmarks(KEPT.with_name("drains-version-1.jsonl.read")) == {
        "n1 kernel_log": "2f6a-11:42",
        "n2 kernel_log": "2049:77:1300",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "damaged"), ("[]", "damaged"), ('{"version": 2, "read": {}}', "newer Parkade")],
)
def test_bookmarks_that_cannot_be_read_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "drains.jsonl.read"
    path.write_text(text)
    with pytest.raises(KeptFileError, match=message):
        load_bookmarks(path)


def test_what_the_engine_says_is_a_source_of_its_own(scene: Scene) -> None:
    answer = scene.folder / "sinfo"
    answer.write_text("#!/bin/sh\nprintf 'n0|down*|x\\nn1|idle|none\\nghost|down|x\\n'\n")
    answer.chmod(0o755)
    file = scene.file(nodes=2, act=False)
    file = RunFile.model_validate({**file.model_dump(), "engine": {"command": [str(answer)]}})
    runner = scene.runner(file)
    runner.round()
    scene.now_us += 10 * SECOND_US
    (decision,) = runner.round()
    assert (decision.verdict.node, decision.verdict.signal) == ("n0", "engine_node_down")
    found = shown(runner)
    assert found['parkade_mars_symptoms_total{node="n0",source="engine"}'] >= 1
    assert found['parkade_mars_symptoms_rejected_total{reason="unknown_node"}'] == 2
    answer.write_text("#!/bin/sh\nexit 1\n")
    runner.round()
    assert shown(runner)['parkade_mars_sensor_up{node="engine",sensor="engine"}'] == 0


KEPT = Path(__file__).parent / "kept" / "drains-version-1.jsonl"


def test_the_journal_of_the_first_version_is_still_read(scene: Scene) -> None:
    file = scene.file()
    assert file.drain is not None
    drains = Drains(file.drain, KEPT)
    assert [(each.node, each.mark) for each in drains.unsure] == [("n2", "parkade-mars:bbbb")]
    assert drains.own == ()


LINE = '{"version": 1, "event": "drained", "node": "n", "mark": "m", "verdict": "v", "at_us": 1}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("junk\n{}\n", "line 1 is damaged"),
        (f"\0\0\0{LINE}\n", "line 1 is damaged"),
        (f"{LINE}\n{{'not json\n", "line 2 is damaged"),
        (LINE.replace("drained", "drXined") + "\n", "line 1 is damaged"),
        (('{"version": 9, "event": "drained", "node": "n", "mark": "m", "verdict": "v",'
         ' "at_us": 1}\n'), "version 9"),
    ],
)  # fmt: skip
def test_a_journal_that_cannot_be_read_is_refused(scene: Scene, text: str, message: str) -> None:
    journal = scene.folder / "bad.jsonl"
    journal.write_text(text)
    file = scene.file()
    assert file.drain is not None
    with pytest.raises(DrainError, match=message):
        Drains(file.drain, journal)


def test_a_torn_last_line_of_the_journal_is_passed_over(scene: Scene) -> None:
    journal = scene.folder / "torn.jsonl"
    journal.write_text(KEPT.read_text() + '{"version": 1, "ev')
    file = scene.file()
    assert file.drain is not None
    assert [each.node for each in Drains(file.drain, journal).unsure] == ["n2"]


HEAD = "format: 1\nnodes: [{node: n1, local: true}]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "act: true\n", "needs `drain` and `journal`"),
        (HEAD + "every: 0s\n", "longer than"),
        (HEAD + "listen: here\n", "listen"),
        ("format: 1\nnodes: []\n", "nodes"),
        ("format: 1\nnodes: [{node: n1}, {node: n1}]\n", "stands twice"),
        (HEAD.replace("}]", "}, {node: n2}, {node: n3, gpus: 8}]"), "nothing reads n2, n3: give"),
        ("format: 1\nnodes: [{node: n1, local: true, host: x}]\n", "`host` says whose lines"),
        ("format: 1\nnodes: [{node: 'a b'}]\n", "nodes"),
        (
            "format: 1\nnodes: [{node: h, host: nat, kernel_log: l}, {node: nat, kernel_log: l}]\n",
            "nat is nodes",
        ),
        (
            "format: 1\nnodes: [{node: gpu-2, kernel_log: l}, {node: GPU-2, kernel_log: l}]\n",
            "gpu-2 is nodes.0.",
        ),
        (
            "format: 1\nnodes: [{node: a, kernel_log: l}, {node: a.example.org, kernel_log: l}]\n",
            "a.example.org is nodes.0.",
        ),
        (
            "format: 1\nnodes: [{node: a.example.org, kernel_log: l}, {node: a, kernel_log: l}]\n",
            "a is nodes.0.",
        ),
        (HEAD + "drain: {set: [a], reason: [b], undo: [c], most: 3}\n", "belong together"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str | None) -> None:
    with pytest.raises(Unreadable, match=message):
        read_run_file(text)


def test_a_node_may_be_read_by_the_engine_alone() -> None:
    file = read_run_file(HEAD.replace("}]", "}, {node: n2}]") + "engine: {}\n")
    assert [entry.has_sensor for entry in file.nodes] == [True, False]


@pytest.fixture
def running(scene: Scene) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The program itself, with a free port."""
    log = scene.folder / "n0.log"
    log.touch()
    config = scene.folder / "run.yaml"
    config.write_text(
        f"format: 1\nevery: 100ms\nlisten: 127.0.0.1:0\nnodes: [{{node: n0, kernel_log: {log}}}]\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", MAIN, "mars", "run", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    said = child.stdout.readline().decode()
    yield child, said.rpartition(" ")[2].strip()
    child.terminate()
    assert child.wait(60) == 0
    child.stdout.close()


def test_the_program_serves_metrics_and_ends_when_told(
    scene: Scene, running: tuple[subprocess.Popen[bytes], str]
) -> None:
    _, address = running
    while True:
        with urllib.request.urlopen(address, timeout=30) as answer:
            text = answer.read().decode()
        if "parkade_mars_last_poll_timestamp_seconds 0.0" not in text:
            break
    scene.write("n0")
    while 'signal="xid/79"} 3.0' not in text:
        with urllib.request.urlopen(address, timeout=30) as answer:
            text = answer.read().decode()


def test_a_run_says_first_that_no_fabric_has_a_name(scene: Scene) -> None:
    scene.mars_file()
    file = scene.folder / "mars.yaml"
    text = file.read_text()
    says = "no node has a `fabric`"
    assert says not in scene.mars("run", "--rounds", "1"), "one node alone shares nothing"
    for fabric, is_told in (("", True), ("fabric: f1, ", False)):
        second = f"}}, {{{fabric}node: n1, kernel_log: n0.log}}]"
        file.write_text(text.replace("}]", second))
        assert (says in scene.mars("run", "--rounds", "1")) is is_told


def test_more_logs_than_a_process_may_open_at_first_are_read(scene: Scene) -> None:
    scene.mars_file()
    file, logs = scene.folder / "mars.yaml", 120
    for number in range(logs):
        (scene.folder / f"n{number}.log").touch()
    nodes = ", ".join(f"{{node: n{at}, kernel_log: n{at}.log}}" for at in range(logs))
    file.write_text(file.read_text().replace("[{node: n0, kernel_log: n0.log}]", f"[{nodes}]"))
    command = f'ulimit -Sn 100; exec "{sys.executable}" -c "{MAIN}" mars run --rounds 1'
    done = subprocess.run(
        ["sh", "-c", f"{command} --config mars.yaml"],
        cwd=scene.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    few = subprocess.run(
        ["sh", "-c", f"{command.replace('-Sn 100', '-n 64')} --config mars.yaml"],
        cwd=scene.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert few.returncode == 0, few.stderr
    assert "may open 64 files and wants 304 for its logs, so it opens each" in few.stderr
    assert "cannot be read" not in few.stdout + few.stderr
