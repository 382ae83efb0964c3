"""Which checkpoint reports are believed, and where a program is told to resume from."""

import json
import os
from pathlib import Path

import pytest

from parkade.engines.local import report
from parkade.ports import Checkpoint
from tests.engines.conftest import LocalPlace
from tests.engines.trial import attempt_of, output_of, released, run

WHOLE = {"step": 12, "at": "1970-01-01T00:00:01.5Z"}
SAVED = Checkpoint(step=12, at_us=1_500_000)


def write(folder: Path, **changes: object) -> None:
    (folder / report.NAME).write_text(json.dumps({**WHOLE, **changes}))


def test_a_whole_report_is_believed_with_and_without_a_path(tmp_path: Path) -> None:
    assert report.read(tmp_path) == report.Told()
    write(tmp_path)
    assert report.read(tmp_path) == report.Told(checkpoint=SAVED)
    (tmp_path / "step-12").mkdir()
    (tmp_path / "step-12" / "model.bin").touch()
    write(tmp_path, path="step-12")
    assert report.read(tmp_path) == report.Told(checkpoint=SAVED, path=tmp_path / "step-12")


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
        (".", "out of"),
        ("..", "out of"),
        ("/etc", "out of"),
        ("away", "out of"),
        ("step-12", "checkpoint-is-incomplete.txt"),
        ("step-14.orbax-checkpoint-tmp-99", "orbax"),
        ("a\0b", "looked at"),
    ],
)
def test_a_half_written_or_foreign_path_is_no_checkpoint(
    tmp_path: Path, path: str, why: str
) -> None:
    (tmp_path / "away").symlink_to("/usr")
    (tmp_path / "step-12").mkdir()
    (tmp_path / "step-12" / "checkpoint-is-incomplete.txt").touch()
    (tmp_path / "step-14.orbax-checkpoint-tmp-99").mkdir()
    write(tmp_path, path=path)
    told = report.read(tmp_path)
    assert (told.checkpoint, told.path) == (None, None)
    assert why in (told.problem or "")


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
