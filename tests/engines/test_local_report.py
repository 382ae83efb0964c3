"""Which checkpoint reports are believed, and where a program is told to resume from."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from parkade.engines.local import opening, report, view
from parkade.engines.local.view import READ_AGAIN_S
from parkade.ports import Checkpoint
from tests.engines.conftest import LocalPlace
from tests.engines.trial import attempt_of, output_of, released, run, until

WHOLE = {"step": 12, "at": "1970-01-01T00:00:01.5Z"}
SAVED = Checkpoint(step=12, at_us=1_500_000)


def write(folder: Path, **changes: object) -> None:
    (folder / report.NAME).write_text(json.dumps({**WHOLE, **changes}))


def test_a_whole_report_is_believed_with_and_without_a_path(tmp_path: Path) -> None:
    assert report.read(tmp_path) == report.Reading()
    write(tmp_path)
    assert report.read(tmp_path) == report.Reading(checkpoint=SAVED)
    (tmp_path / "step-12").mkdir()
    (tmp_path / "step-12" / "model.bin").touch()
    write(tmp_path, path="step-12")
    assert report.read(tmp_path) == report.Reading(checkpoint=SAVED, path=tmp_path / "step-12")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "torn"),
        ('{"step": 12, "at": "1970-', "torn"),
        ('{"x": ' + "[" * 30_000, "torn"),
        ("\udc80", "torn"),
        ("[]", "object"),
        ('{"step": 12}', "at"),
        ('{"step": -1, "at": "1970-01-01T00:00:01Z"}', "step"),
        ('{"step": 1, "at": "1970-01-01T00:00:01"}', "at"),
        ('{"step": 1, "at": "1969-01-01T00:00:01Z"}', "1970"),
        ('{"step": 1, "at": "1970-01-01T00:00:01Z", "path": ""}', "path"),
        ("x" * (report.MOST_BYTES + 1), "small regular file"),
    ],
)
def test_what_is_not_believed_is_named(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / report.NAME).write_bytes(content.encode("utf-8", "surrogateescape"))
    told = report.read(tmp_path)
    assert told.checkpoint is None
    assert report.NAME in (told.problem or "") and why in (told.problem or "")


def test_a_report_that_is_no_file_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps(WHOLE))
    (tmp_path / report.NAME).symlink_to(secret)
    assert report.read(tmp_path).checkpoint is None
    (tmp_path / report.NAME).unlink()
    os.mkfifo(tmp_path / report.NAME)
    assert "regular file" in (report.read(tmp_path).problem or "")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("step-13", "not there"),
        ("/nowhere/at/all", "out of"),
        ("away/nowhere", "out of"),
        ("round", "out of"),
        (".", "out of"),
        ("..", "out of"),
        ("/etc", "out of"),
        ("away", "out of"),
        ("step-12", "checkpoint-is-incomplete.txt"),
        ("step-14.orbax-checkpoint-tmp-99", "orbax"),
        ("a\0b", "not there"),
    ],
)
def test_a_half_written_or_foreign_path_is_no_checkpoint(
    tmp_path: Path, path: str, why: str
) -> None:
    (tmp_path / "away").symlink_to("/usr")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "step-12").mkdir()
    (tmp_path / "step-12" / "checkpoint-is-incomplete.txt").touch()
    (tmp_path / "step-14.orbax-checkpoint-tmp-99").mkdir()
    write(tmp_path, path=path)
    told = report.read(tmp_path)
    assert (told.checkpoint, told.path) == (None, None)
    assert why in (told.problem or "")


def test_a_report_tells_nothing_of_what_is_outside_its_folder(tmp_path: Path) -> None:
    """The agent that reads it may be root, and its user is not."""
    inside = tmp_path / "checkpoints"
    inside.mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    (inside / "out").symlink_to(tmp_path)
    told = set()
    for path in ("out/there", "out/nowhere", "out/file/x"):
        write(inside, path=path)
        told.add((report.read(inside).problem or "").replace(path, "PATH"))
    assert len(told) == 1


def test_a_link_in_place_of_a_report_is_not_looked_behind(tmp_path: Path) -> None:
    """It may lead into another mount namespace, where a look takes for ever."""
    (tmp_path / report.NAME).symlink_to(tmp_path)
    assert view._stamp(tmp_path / report.NAME) != view._stamp(tmp_path)
    assert view._stamp(tmp_path / "none") is None


def test_a_path_whose_real_name_is_too_long_to_be_told_is_not_believed(tmp_path: Path) -> None:
    """Two links reach it; its agent must not fail of it, nor see no other attempt."""
    place, names = os.open(tmp_path, os.O_PATH), []
    for _ in range(20):
        names.append("n" * 250)
        os.mkdir(names[-1], dir_fd=place)
        place, above = os.open(names[-1], os.O_PATH, dir_fd=place), place
        os.close(above)
    (tmp_path / "l0").symlink_to("/".join(names[:10]))
    half = os.open(tmp_path / "l0", os.O_PATH)
    os.symlink("/".join(names[10:]), "l1", dir_fd=half)
    os.close(half)
    os.close(place)
    write(tmp_path, path="l0/l1")
    assert "leads out" in (report.read(tmp_path).problem or "")


def test_a_report_leads_into_no_other_mount_namespace(tmp_path: Path) -> None:
    """There the user mounts what it likes under the checkpoint folder's own path."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    inside, victim = tmp_path / "checkpoints", tmp_path / "victim"
    (inside / "foo").mkdir(parents=True)
    victim.mkdir()
    (victim / "secret.tmp").touch()
    mounts = f"mount --bind {victim} {inside}/foo && echo up && read"
    words = ["unshare", "--mount", "sh", "-c", mounts]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as helper:
        assert helper.stdout is not None and helper.stdout.readline() == b"up\n"
        (inside / "link").symlink_to(f"/proc/{helper.pid}/root{inside}/foo")
        write(inside, path="link")
        problem = report.read(inside).problem or ""
        helper.communicate(b"\n")
    assert "leads out" in problem and "secret" not in problem


def test_where_the_kernel_cannot_keep_from_links_of_proc_none_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "step" / "1").mkdir(parents=True)
    (tmp_path / "latest").symlink_to("step/1")
    write(tmp_path, path="latest")
    assert report.read(tmp_path).path == tmp_path / "step" / "1"
    monkeypatch.setattr(opening, "_OPENAT2", 100_000)
    told = report.read(tmp_path)
    assert told.path is None and "leads out" in (told.problem or "")
    for path in ("step/1", str(tmp_path / "step" / "1"), "step/../step/1"):
        write(tmp_path, path=path)
        assert report.read(tmp_path).path == tmp_path / "step" / "1"


def test_a_name_that_is_no_text_is_told_in_characters_that_can_be_sent(tmp_path: Path) -> None:
    """Else its keeper could write no state, and its agent no report."""
    (tmp_path / "ck").mkdir()
    (tmp_path / os.fsdecode(b"ck/\xff\n\x1b.tmp")).touch()
    write(tmp_path, path="ck")
    problem = report.read(tmp_path).problem or ""
    assert "half-written" in problem
    assert problem.isprintable() and problem.encode()


def test_an_attempt_with_a_name_that_is_no_text_ends_and_harms_no_other(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        command = (
            "cd $PARKADE_CHECKPOINT_DIR; mkdir ck; touch \"$(printf 'ck/\\377.tmp')\";"
            f" echo '{json.dumps({**WHOLE, 'path': 'ck'})}' > .new; mv .new {report.NAME};"
            " while [ ! -e go ]; do sleep 0.02; done"
        )
        attempt = attempt_of(command)
        await engine.launch(attempt)
        folder = place.checkpoints(attempt)
        await until(lambda: (folder / report.NAME).exists())
        assert msgspec.json.encode(await engine.observe())
        (folder / "go").touch()
        assert "half-written" in ((await released(engine, attempt)).report_problem or "")

    run(body())


def test_a_folder_of_very_many_files_costs_a_bounded_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ck").mkdir()
    for number in range(100):
        (tmp_path / "ck" / str(number)).touch()
    write(tmp_path, path="ck")
    seen = []
    listed = os.scandir

    class Counted:
        """Entries as they are asked for."""

        def __init__(self, folder: int) -> None:
            self.entries = listed(folder)

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return map(self.count, self.entries)

        def count(self, entry: os.DirEntry[str]) -> os.DirEntry[str]:
            seen.append(entry)
            return entry

        def __exit__(self, *_: object) -> None:
            self.entries.close()

    monkeypatch.setattr(os, "scandir", Counted)
    monkeypatch.setattr(report, "MOST_FILES", 10)
    assert report.read(tmp_path).checkpoint == SAVED
    assert len(seen) == 10


def test_a_report_that_changes_all_the_while_is_read_now_and_then(place: LocalPlace) -> None:
    """Each reading looks at files of the user's, so that it could keep the agent busy."""

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of("while [ ! -e $PARKADE_CHECKPOINT_DIR/go ]; do sleep 0.02; done")
        await engine.launch(attempt)
        folder = place.checkpoints(attempt)
        steps = set()
        begun = time.monotonic()
        for step in range(1, 41):
            write(folder, step=step)
            (folder / report.NAME).rename(folder / "old")
            (folder / "old").rename(folder / report.NAME)
            seen = (await engine.observe()).attempts
            steps |= {one.checkpoint.step for one in seen if one.checkpoint is not None}
        lasted_s = time.monotonic() - begun
        assert len(steps) <= 1 + lasted_s / READ_AGAIN_S
        (folder / "go").touch()
        assert (await released(engine, attempt)).checkpoint == Checkpoint(step=40, at_us=1_500_000)

    run(body())


def test_the_next_attempt_is_offered_what_is_whole_and_nothing_half_written(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine = place.engine()
        shows = attempt_of('echo "<$PARKADE_RESUME_FROM:$PARKADE_RESUME_STEP>"')
        await engine.launch(shows)
        assert await output_of(engine, shows) == b"<:>\n"
        await released(engine, shows)
        for has_mark in (False, True):
            again = attempt_of(shows.command)
            folder = place.checkpoints(again)
            (folder / "step-12").mkdir(parents=True)
            if has_mark:
                (folder / "step-12" / "checkpoint-is-incomplete.txt").touch()
            write(folder, path="step-12")
            await engine.launch(again)
            offered = f"<{folder / 'step-12'}:12>\n" if not has_mark else "<:>\n"
            assert (await output_of(engine, again)).decode() == offered
            seen = await released(engine, again)
            assert (seen.report_problem is None) is not has_mark

    run(body())
