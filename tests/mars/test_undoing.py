"""`mars run` and `mars undo` as programs, on one journal."""

import signal
from pathlib import Path

from tests.mars.scene import CLUSTER, Scene
from tests.waits import PATIENCE_S, until


def drained(scene: Scene) -> Path:
    """Mars drained n0 and has ended; the cluster's program."""
    scene.mars_file()
    scene.mars("run", "--rounds", "1")
    scene.write("n0")
    scene.mars("run", "--rounds", "1")
    return scene.folder / "cluster"


def test_undo_takes_all_that_logs_hold_for_dealt_with(scene: Scene) -> None:
    scene.mars_file()
    scene.mars("run", "--rounds", "1")
    scene.write("n0")
    scene.mars("run", "--rounds", "1")
    assert scene.is_drained("n0"), "a line that came while Mars was down is judged"
    scene.write("n0")
    assert "n0: undrained" in scene.mars("undo")
    scene.mars("run", "--rounds", "1")
    assert scene.is_drained("n0") == ""


def test_a_second_run_and_an_undo_are_refused_while_a_run_lives(scene: Scene) -> None:
    scene.mars_file()
    with scene.running() as child:
        scene.write("n0")
        until(lambda: scene.is_drained("n0"))
        words = f"process {child.pid} works on drains.jsonl; end it first"
        assert words in scene.mars("run", "--rounds", "1", exit_code=4)
        assert words in scene.mars("undo", exit_code=4)
        assert scene.is_drained("n0")
        child.terminate()
        assert child.wait(PATIENCE_S) == 0
        assert "n0: undrained" in scene.mars("undo")


def test_a_run_that_was_killed_locks_nothing(scene: Scene) -> None:
    scene.mars_file()
    with scene.running() as child:
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_S)
        assert "No drain of Mars stands." in scene.mars("undo")


def test_an_undo_that_fails_is_told_and_ends_with_its_code(scene: Scene) -> None:
    program = drained(scene)
    program.write_text(CLUSTER.replace('rm -f "$2"', "echo locked >&2; exit 5"))
    assert "ended with status 5: locked" in scene.mars("undo", exit_code=4)
    program.write_text(CLUSTER)
    assert "n0: undrained" in scene.mars("undo")


def test_an_undo_that_lifts_nothing_is_told_and_the_drain_stays_ours(scene: Scene) -> None:
    program = drained(scene)
    program.write_text(CLUSTER.replace('rm -f "$2"', "true"))
    assert "our mark still stands" in scene.mars("undo", exit_code=4)
    program.write_text(CLUSTER)
    assert "n0: undrained" in scene.mars("undo")
