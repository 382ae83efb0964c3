"""Drains whose command was not seen to end: asked for first, and ours whenever they come."""

import json
import signal
from pathlib import Path

import pytest

from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from parkade.mars.drain_journal import DrainError
from parkade.mars.drains import Drains, DrainStands
from tests.mars.scene import CLUSTER, Scene, shown
from tests.waits import PATIENCE_S, until


def hang(scene: Scene) -> tuple[Path, Path]:
    """The cluster's `set` hangs from now on, and drains when it is let; what says that it was
    begun, and what lets it go on."""
    asked, opened = scene.folder / "asked", scene.folder / "opened"
    wait = f'touch "{asked}"; until [ -e "{opened}" ]; do sleep 0.05; done'
    (scene.folder / "cluster").write_text(CLUSTER.replace("  set)", f"  set) {wait};"))
    return asked, opened


def killed_while_it_drains(scene: Scene) -> Path:
    """`mars run` was killed while `set` hung; what lets that go on. The cluster works again."""
    scene.mars_file()
    scene.mars("run", "--rounds", "1")
    asked, opened = hang(scene)
    with scene.running() as child:
        scene.write("n0")
        until(asked.exists)
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_S)
    (scene.folder / "cluster").write_text(CLUSTER)
    return opened


def mark_of(scene: Scene) -> str:
    """The mark in the reason of n0; until it is drained."""
    until(lambda: scene.is_drained("n0"))
    return scene.is_drained("n0").split()[0]


def test_a_drain_that_comes_after_undo_is_lifted_by_the_next_undo(scene: Scene) -> None:
    opened = killed_while_it_drains(scene)
    told = scene.mars("undo")
    assert "n0: not drained now" in told and "undo` again" in told
    opened.touch()
    mark_of(scene)
    assert "n0: undrained" in scene.mars("undo")
    assert scene.is_drained("n0") == ""


def test_an_old_command_that_ends_after_a_new_one_leaves_a_drain_that_undo_lifts(
    scene: Scene,
) -> None:
    opened = killed_while_it_drains(scene)
    scene.mars("run", "--rounds", "1")
    second = mark_of(scene)
    opened.touch()
    until(lambda: scene.is_drained("n0").split()[0] != second)
    scene.mars("run", "--rounds", "1")
    assert "n0: undrained" in scene.mars("undo")
    assert scene.is_drained("n0") == ""
    assert "No drain of Mars stands." in scene.mars("undo")


def test_after_a_restart_the_cluster_is_asked_first_also_where_a_guard_holds(scene: Scene) -> None:
    file = scene.file(nodes=20)
    assert file.drain is not None and file.journal is not None
    program = scene.folder / "cluster"
    program.write_text(CLUSTER.replace('printf %s "$3" > "$2"', 'printf %s "$3" > "$2"; exit 7'))
    before = Drains(file.drain, file.journal)
    with pytest.raises(DrainError, match="status 7"):
        before.drain("n0", "v1", "fatal xid/79", scene.now_us)
    program.write_text(CLUSTER)
    scene.now_us += SECOND_US
    runner = scene.runner(file)
    runner.round()
    found = shown(runner)
    assert found['parkade_mars_node_drained{node="n0"}'] == 1
    rows = [json.loads(line) for line in file.journal.read_text().splitlines()]
    assert [(row["node"], row["event"]) for row in rows] == [("n0", "intended"), ("n0", "drained")]


def test_the_cluster_is_asked_more_rarely_the_longer_ago_the_command_began(scene: Scene) -> None:
    file, asked = scene.file(nodes=20), scene.folder / "asked"
    assert file.drain is not None and file.journal is not None
    program = scene.folder / "cluster"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.write_text(CLUSTER.replace("  set)", "  set) exit 7;;\n  was)"))
    with pytest.raises(DrainError, match="status 7"):
        Drains(file.drain, file.journal).drain("n0", "v1", "fatal xid/79", scene.now_us)
    program.write_text(CLUSTER.replace("  reason)", f'  reason) echo x >> "{asked}";'))
    runner = scene.runner(file)
    for _ in range(120):
        runner.round()
        scene.now_us += MINUTE_US
    assert 5 <= asked.read_text().count("x") <= 12
    scene.now_us += DAY_US
    so_far = asked.read_text()
    for _ in range(3):
        runner.round()
        scene.now_us += HOUR_US
    assert asked.read_text() == so_far, "a day later nothing is expected of it"


def test_a_drain_with_any_mark_of_ours_stands_and_is_ours(scene: Scene) -> None:
    file = scene.file()
    assert file.drain is not None and file.journal is not None
    drains = Drains(file.drain, file.journal)
    drains.drain("n0", "v1", "fatal xid/79", 1)
    first = scene.is_drained("n0")
    (scene.drained / "n0").unlink()
    drains.drain("n0", "v2", "fatal xid/79", 2)
    (scene.drained / "n0").write_text(first)
    again = Drains(file.drain, file.journal)
    again.drain("n0", "v3", "fatal xid/79", 3)
    assert again.drain("n0", "v3", "fatal xid/79", 4) == DrainStands(first.split()[0])
    assert scene.is_drained("n0") == first
    assert again.undo("n0", 5) is None and scene.is_drained("n0") == ""


def test_undo_of_a_node_that_was_never_drained_keeps_its_faults(scene: Scene) -> None:
    scene.mars_file()
    scene.mars("run", "--rounds", "1")
    scene.write("n0")
    assert "n0: not drained by Mars" in scene.mars("undo", "--node", "n0")
    scene.mars("run", "--rounds", "1")
    assert scene.is_drained("n0"), "its fault is judged still"


def test_undo_of_a_node_whose_drain_failed_keeps_its_faults(scene: Scene) -> None:
    scene.mars_file()
    scene.mars("run", "--rounds", "1")
    scene.write("n0")
    program = scene.folder / "cluster"
    program.write_text(CLUSTER.replace("  set)", "  set) exit 7;;\n  was)"))
    scene.mars("run", "--rounds", "1")
    program.write_text(CLUSTER)
    assert "n0: not drained now" in scene.mars("undo")
    scene.mars("run", "--rounds", "1")
    assert scene.is_drained("n0"), "what failed is tried again"


def test_a_node_that_a_person_resumed_counts_as_drained_no_more(scene: Scene) -> None:
    runner = scene.runner(scene.file(nodes=20))
    scene.write("n0")
    runner.round()
    reason = scene.is_drained("n0")
    assert shown(runner)['parkade_mars_node_drained{node="n0"}'] == 1
    (scene.drained / "n0").unlink()
    scene.now_us += MINUTE_US
    runner.round()
    found = shown(runner)
    assert 'parkade_mars_node_drained{node="n0"}' not in found
    assert found["parkade_mars_drained_nodes"] == 0
    (scene.drained / "n0").write_text(reason)
    scene.now_us += MINUTE_US
    runner.round()
    assert shown(runner)['parkade_mars_node_drained{node="n0"}'] == 1, "it has our mark again"
