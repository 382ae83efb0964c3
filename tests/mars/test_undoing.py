"""`mars run` and `mars undo` as programs, on one journal."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from parkade.mars.lock import JournalInUse, only_one
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
        words = f"process {child.pid} works on {scene.folder}/drains.jsonl; end it first"
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


def test_a_journal_has_one_program_whatever_name_leads_to_it(tmp_path: Path) -> None:
    journal = tmp_path / "drains.jsonl"
    (tmp_path / "other").mkdir()
    link, twin = tmp_path / "other" / "link", tmp_path / "other" / "twin"
    with only_one(journal):
        link.symlink_to(journal)
        twin.hardlink_to(journal)
        for name in (journal, link, twin):
            with pytest.raises(JournalInUse, match="works on"), only_one(name):
                pass
    with only_one(link):
        pass


def test_undo_works_from_another_folder(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    drained(scene)
    elsewhere = scene.folder / "elsewhere"
    elsewhere.mkdir()
    done = scene.run("undo", "--config", str(scene.folder / "mars.yaml"), folder=elsewhere)
    assert done.returncode == 0 and "n0: undrained" in done.stdout


def test_undo_of_a_node_that_is_none_of_the_file_is_refused(scene: Scene) -> None:
    drained(scene)
    assert "n00: no node of the file; did you mean n0?" in scene.mars(
        "undo", "--node", "n00", exit_code=4
    )
    assert scene.is_drained("n0")
    assert "n0: undrained" in scene.mars("undo", "--node", "n0")
    assert "n0: not drained by Mars" in scene.mars("undo", "--node", "n0")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (None, 0),
        (("format: 1", "format: 2"), 3),
        (("format: 1", "format: 1\npolicy: absent.yaml"), 4),
        (("listen: 127.0.0.1:0", "listen: 192.0.2.1:9"), 4),
        (("kernel_log: n0.log", "kernel_log: absent.log"), 6),
    ],
)
def test_each_exit_code_of_a_run_means_one_thing(
    scene: Scene, change: tuple[str, str] | None, code: int
) -> None:
    scene.mars_file()
    file = scene.folder / "mars.yaml"
    if change is not None:
        file.write_text(file.read_text().replace(*change))
    scene.mars("run", "--rounds", "1", exit_code=code)


def test_a_file_that_is_not_there_is_no_wrong_file(scene: Scene) -> None:
    for words in (("run", "--rounds", "1"), ("undo",)):
        told = scene.mars(*words, exit_code=4)
        assert "mars.yaml cannot be read: No such file or directory" in told


def test_ctrl_c_says_what_it_waits_for_and_a_second_one_what_that_leaves_open(
    scene: Scene,
) -> None:
    scene.mars_file()
    program = scene.folder / "cluster"
    asked, opened = scene.folder / "asked", scene.folder / "opened"
    os.mkfifo(opened)
    program.write_text(
        CLUSTER.replace("  set)", f'  set) touch "{asked}"; read -r _ < "{opened}";')
    )
    with scene.running(errors=subprocess.PIPE) as child:
        assert child.stderr is not None
        scene.write("n0")
        until(asked.exists)
        child.send_signal(signal.SIGINT)
        lines = iter(child.stderr.readline, "")
        (waits,) = [next(line for line in lines if "waits for" in line)]
        assert f"ends, and waits for {program} on n0, which is ended in " in waits
        child.send_signal(signal.SIGINT)
        (leaves,) = [next(line for line in lines if "does not wait" in line)]
        assert "the node may be drained or not" in leaves
        assert child.wait(PATIENCE_S) == 130
    opened.write_text("\n")
    until(lambda: scene.is_drained("n0"))
    program.write_text(CLUSTER)
    scene.mars("run", "--rounds", "1")
    assert "n0: undrained" in scene.mars("undo"), "the drain that went on alone is ours"
