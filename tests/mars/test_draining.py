"""Drains beside the loop: one at a time, in order, within exact budgets, whatever hangs."""

import json
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from parkade.core.healing.guards import GuardLimits, HoldReason
from parkade.core.healing.parents import ParentLimits
from parkade.core.healing.topology import NodePlace
from parkade.core.healing.watch import FleetWatch, WatchSettings
from parkade.mars.drain_journal import DrainError
from parkade.mars.draining import Draining
from parkade.mars.drains import DrainDone, DrainRefused, Drains, DrainStands
from parkade.mars.holding import GuardWords, held_by
from parkade.mars.metrics import Metrics
from parkade.mars.policy_file import shipped_policy
from tests.mars.scene import CLUSTER, Scene, shown
from tests.waits import until


def refused(scene: Scene, node: str) -> None:
    """A person drains a node."""
    (scene.drained / node).write_text("ann: new fan")


def test_a_refused_drain_spends_no_budget(scene: Scene) -> None:
    runner = scene.runner(scene.file(nodes=20))
    refused(scene, "n0")
    scene.write("n0")
    scene.write("n9")
    runner.round()
    assert "parkade-mars:" in scene.is_drained("n9"), "a fleet of twenty has a budget of one"
    found = shown(runner)
    assert found['parkade_mars_drains_refused_total{reason="already_drained"}'] == 1
    waits = 'parkade_mars_action_waits{{device="0000:3b:00",node="{}",reason="{}",signal="xid/79"}}'
    assert found[waits.format("n0", "already_drained")] == 1
    assert found['parkade_mars_node_drained{node="n9"}'] == 1
    assert not any("action_waits" in name and "n9" in name for name in found)
    scene.now_us += 700_000_000
    scene.write("n18")
    runner.round()
    assert scene.is_drained("n18") == "", "the budget is spent now"
    assert shown(runner)[waits.format("n18", "fleet_budget")] == 1
    assert shown(runner)['parkade_mars_actions_held_total{reason="fleet_budget"}'] == 1


def test_a_drain_that_is_refused_since_many_are_drained_spends_no_budget(scene: Scene) -> None:
    runner = scene.runner(scene.file(nodes=20, most=1))
    refused(scene, "n4")
    scene.write("n0")
    runner.round()
    (scene.drained / "n4").unlink()
    scene.now_us += 700_000_000
    scene.write("n9")
    runner.round()
    assert scene.is_drained("n9")


def test_what_became_of_a_drain_is_told_once(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = scene.runner(scene.file(nodes=60))
    refused(scene, "n0")
    for node in ("n0", "n9"):
        scene.write(node)
    runner.round()
    (scene.folder / "cluster").write_text("#!/bin/sh\necho broken >&2; exit 7\n")
    scene.now_us += 700_000_000
    scene.write("n18")
    for _ in range(3):
        runner.round()
    (scene.folder / "cluster").write_text(CLUSTER)
    runner.round()
    told = capfd.readouterr().err.splitlines()

    def lines(event: str, node: str) -> list[str]:
        return [each for each in told if f"event='{event}'" in each and f"node='{node}'" in each]

    (line,) = lines("not drained", "n0")
    assert "already drained: ann: new fan" in line
    (line,) = lines("drained", "n9")
    assert "fatal xid/79" in line and "parkade-mars:" in line
    (line,) = lines("drain failed", "n18")
    assert "ended with status 7: broken" in line
    assert len(lines("drained", "n18")) == 1
    assert len(lines("fatal verdict", "n18")) == 1


def test_a_failed_drain_is_tried_once_a_round_also_where_a_guard_held_it_before(
    scene: Scene,
) -> None:
    file = scene.file(act=False)
    runner = scene.runner(file)
    scene.write("n0")
    (decision,) = runner.round()
    verdict, failures = decision.verdict, scene.folder / "failures"
    (scene.folder / "cluster").write_text(
        CLUSTER.replace("  set)", f'  set) echo x >> "{failures}"; exit 7;;\n  was)')
    )
    assert file.drain is not None
    settings = WatchSettings(
        policy=shipped_policy(),
        guards=GuardLimits(),
        parents=ParentLimits(),
        acts=True,
        defers=True,
    )
    place = NodePlace(node="n0", fabric="f0", rack=None, switch=None, driver=None)
    watch = FleetWatch((place,), settings)
    draining = Draining(
        Drains(file.drain, scene.folder / "apart.jsonl"),
        watch,
        Metrics(policy="site", acts=True),
        stands=lambda _: True,
        words=GuardWords(watch, names_fabrics=True),
    )
    name = verdict.verdict
    draining.resume({name: verdict}, {name: held_by(HoldReason.FLEET_BUDGET)})
    for failed in (1, 2):
        draining.try_again(scene.now_us)
        for _ in range(2):
            draining.finish(lambda: scene.now_us)
            assert failures.read_text().count("x") == failed
            draining.ask_held(scene.now_us)
    draining.close(scene.now_us)


class Gate:
    """A `set` of the cluster that ends once it is opened."""

    def __init__(self, scene: Scene) -> None:
        self.is_asked, self._opened = scene.folder / "asked", scene.folder / "opened"
        os.mkfifo(self._opened)
        program = scene.folder / "cluster"
        wait = f'touch "{self.is_asked}"; read -r _ < "{self._opened}"'
        program.write_text(CLUSTER.replace("  set)", f'  set) [ "$2" = n0 ] && {{ {wait}; }};'))

    def open(self) -> None:
        self._opened.write_text("\n")


def test_a_drain_that_hangs_delays_no_look_at_logs_and_others_wait_their_turn(
    scene: Scene,
) -> None:
    gate = Gate(scene)
    with scene.looping(scene.file(nodes=60)) as runner:
        scene.write("n0")
        until(gate.is_asked.exists)
        scene.write("n9")
        until(lambda: any('node="n9",signal="xid/79"' in name for name in shown(runner)))
        assert scene.is_drained("n9") == "", "one node at a time"
        gate.open()
        until(lambda: scene.is_drained("n9"))
        assert scene.is_drained("n0")
        until(lambda: shown(runner)['parkade_mars_drains_total{result="done"}'] == 2)


def test_the_end_waits_for_the_drain_that_is_under_way_and_begins_no_other(scene: Scene) -> None:
    gate, file = Gate(scene), scene.file(nodes=60)
    with scene.looping(file):
        scene.write("n0")
        until(gate.is_asked.exists)
        scene.write("n9")
        threading.Timer(0.5, gate.open).start()
    assert file.journal is not None
    events = [json.loads(line)["event"] for line in file.journal.read_text().splitlines()]
    assert events == ["intended", "drained"]
    assert scene.is_drained("n9") == ""
    again = scene.runner(file)
    again.round()
    assert scene.is_drained("n9"), "a restart goes on with what was not begun"
    assert shown(again)['parkade_mars_drains_total{result="done"}'] == 1


def test_a_drain_command_that_drains_and_hangs_is_ended_with_what_it_started_and_its_drain_is_ours(
    scene: Scene,
) -> None:
    file, started = scene.file(nodes=60), scene.folder / "started"
    program = scene.folder / "cluster"
    note = f'echo $! $(cut -d" " -f6 /proc/$$/stat) > "{started}.new"'
    hangs = f'sleep 3600 & {note}; mv "{started}.new" "{started}"; wait'
    begun = f'  set) printf %s "$3" > "$2"; {hangs};'
    program.write_text(CLUSTER.replace("  set)", begun))
    assert file.drain is not None
    drain = file.drain.model_copy(update={"timeout": timedelta(seconds=5)})
    with scene.looping(file.model_copy(update={"drain": drain})) as runner:
        scene.write("n0")
        until(started.exists)
        process, session = map(int, started.read_text().split())
        assert session != os.getsid(0), "Ctrl-C does not reach it"
        until(lambda: shown(runner).get('parkade_mars_drains_total{result="failed"}'))
        until(lambda: not is_running(process))
        until(lambda: shown(runner).get('parkade_mars_drains_total{result="done"}'))
        until(lambda: not any("action_waits{" in name for name in shown(runner)))
        found = shown(runner)
    assert found['parkade_mars_node_drained{node="n0"}'] == found["parkade_mars_drained_nodes"] == 1
    assert not any(count for name, count in found.items() if "refused_total{" in name)
    program.write_text(CLUSTER)
    assert file.journal is not None
    events = [json.loads(line)["event"] for line in file.journal.read_text().splitlines()]
    assert events == ["intended", "drained"]
    assert Drains(drain, file.journal).undo("n0", scene.now_us) is None
    assert scene.is_drained("n0") == ""


def test_a_drain_whose_command_failed_after_it_drained_is_ours_at_the_next_look(
    scene: Scene,
) -> None:
    file, program = scene.file(), scene.folder / "cluster"
    program.write_text(CLUSTER.replace('printf %s "$3" > "$2"', 'printf %s "$3" > "$2"; exit 7'))
    assert file.drain is not None
    assert file.journal is not None
    drains = Drains(file.drain, file.journal)
    with pytest.raises(DrainError, match="status 7"):
        drains.drain("n0", "v1", "fatal xid/79", 1)
    outcome = drains.drain("n0", "v1", "fatal xid/79", 2)
    assert isinstance(outcome, DrainDone)
    assert outcome.mark in scene.is_drained("n0")
    assert [each.mark for each in drains.own] == [outcome.mark]
    assert drains.drain("n0", "v1", "fatal xid/79", 3) == DrainStands(outcome.mark)
    assert drains.undo("n0", 4) is None
    assert scene.is_drained("n0") == "" and drains.own == ()
    events = [json.loads(line)["event"] for line in file.journal.read_text().splitlines()]
    assert events == ["intended", "drained", "undone"]


def test_a_person_who_takes_over_a_drain_whose_command_failed_keeps_it(scene: Scene) -> None:
    file, program = scene.file(), scene.folder / "cluster"
    program.write_text(CLUSTER.replace('printf %s "$3" > "$2"', 'printf %s "$3" > "$2"; exit 7'))
    assert file.drain is not None
    assert file.journal is not None
    drains = Drains(file.drain, file.journal)
    with pytest.raises(DrainError, match="status 7"):
        drains.drain("n0", "v1", "fatal xid/79", 1)
    refused(scene, "n0")
    assert isinstance(drains.drain("n0", "v1", "fatal xid/79", 2), DrainRefused)
    assert drains.own == () and scene.is_drained("n0") == "ann: new fan"


def is_running(process: int) -> bool:
    """Whether a process is there, and no zombie that its parent has not waited for."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_drain_that_failed_is_asked_for_no_more_when_its_verdict_is_over(scene: Scene) -> None:
    program: Path = scene.folder / "cluster"
    program.write_text("#!/bin/sh\nexit 7\n")
    runner = scene.runner(scene.file(nodes=60))
    scene.write("n0")
    runner.round()
    scene.now_us += 2 * 3_600_000_000
    runner.round()
    program.write_text(CLUSTER)
    runner.round()
    assert scene.is_drained("n0") == ""
