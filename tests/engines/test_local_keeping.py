"""Folders of workloads are kept until the control plane says that they are due, then deleted."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from parkade.engines.local import keeping
from parkade.engines.local.deleting import Deletion
from parkade.engines.local.measuring import bytes_of
from parkade.engines.local.walking import MOST_DEPTH
from parkade.ports import Conflict, DesiredAttempt, FolderAnswer, FolderLook
from tests.engines.conftest import LocalPlace, up
from tests.engines.trial import FOR_EVER, attempt_of, order_in, released, run
from tests.waits import until

LATER_US = 5_000_000


def answer(
    attempt: DesiredAttempt, until_us: int | None, *, is_due: bool = False
) -> tuple[FolderAnswer]:
    made = FolderAnswer(
        workload=attempt.workload, org=attempt.org, until_us=until_us, is_due=is_due
    )
    return (made,)


async def ended(place: LocalPlace, attempt: DesiredAttempt) -> None:
    """The attempt has run, was reported and is forgotten."""
    engine = place.engine()
    await engine.launch(attempt)
    await released(engine, attempt)
    await engine.forget(attempt.attempt)


def test_a_folder_is_asked_about_told_until_when_and_asked_about_again_when_that_is_over(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        attempt = attempt_of("echo 12345 > $PARKADE_CHECKPOINT_DIR/model", launch_sequence=7)
        await ended(place, attempt)
        engine = place.engine()
        look = await engine.idle_folders(0)
        (asked,) = look.folders
        assert (asked.workload, asked.org) == (attempt.workload, attempt.org)
        assert asked.launches == ((attempt.attempt, 7, attempt.ordered_us),)
        assert look.kept == ()
        assert await engine.settle_folders(look.folders, answer(attempt, LATER_US)) == []
        again = place.engine()
        quiet = await again.idle_folders(LATER_US - 1)
        assert quiet.folders == ()
        assert quiet.kept is not None
        (kept,) = quiet.kept
        assert (kept.org, kept.folders, kept.is_counted) == (attempt.org, 1, True)
        assert kept.bytes >= 4096
        (due,) = (await again.idle_folders(LATER_US)).folders
        assert due.until_us == LATER_US
        gone = await again.settle_folders((due,), answer(attempt, LATER_US, is_due=True))
        assert gone == [f"{attempt.workload} of {attempt.org}"]
        assert not place.checkpoints(attempt).exists()
        assert await again.delete_folders() == ()
        assert list((place.data / "deleting").iterdir()) == []
        # Its name still means the attempt that ended.
        with pytest.raises(Conflict, match="ended here before"):
            await again.launch(attempt)
        assert await again.settle_folders((due,), answer(attempt, LATER_US, is_due=True)) == []

    run(body())


def test_the_folder_of_a_live_attempt_is_not_asked_about_and_never_deleted(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        first = attempt_of("true")
        await ended(place, first)
        engine = place.engine()
        (asked,) = (await engine.idle_folders(0)).folders
        name = first.workload
        second = attempt_of(FOR_EVER, attempt=f"{name}.2", workload=name, generation=2)
        await engine.launch(second)
        await up(place, second)
        assert (await engine.idle_folders(0)).folders == ()
        # What was due a moment ago, before the launch.
        assert await engine.settle_folders((asked,), answer(first, 1, is_due=True)) == []
        assert place.checkpoints(second).exists()
        await engine.stop(second.attempt, order_in(0, 0))
        await released(engine, second)

    run(body())


def test_launches_are_proven_after_the_records_of_attempts_are_gone(place: LocalPlace) -> None:
    async def body() -> None:
        attempt = attempt_of("true", launch_sequence=7)
        await ended(place, attempt)
        engine = place.engine()
        look = await engine.idle_folders(0)
        await engine.settle_folders(look.folders, answer(attempt, LATER_US))
        for path in place.folder(attempt).iterdir():
            path.unlink()
        place.folder(attempt).rmdir()
        (asked,) = (await engine.idle_folders(LATER_US)).folders
        assert asked.launches == look.folders[0].launches

    run(body())


def test_a_pass_over_many_folders_goes_on_in_bounded_parts(
    place: LocalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        monkeypatch.setattr(keeping, "MOST_LOOKED_AT", 2)
        engine = place.engine()
        for number in range(5):
            (place.data / "orgs" / "acme" / "workloads" / f"w{number}").mkdir(parents=True)
        looks = [await engine.idle_folders(0) for _ in range(3)]
        assert [look.kept for look in looks] == [None, None, ()]
        assert all(look == FolderLook(folders=(), kept=look.kept) for look in looks)

    run(body())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    made = tmp_path / "outside"
    made.mkdir()
    (made / "treasure").write_text("gold")
    return made


def emptied(deletion: Deletion, most: int = 1000) -> list[str]:
    problems: list[str] = []
    while not (progress := deletion.go_on(most)).is_done:
        problems += progress.problems
    return [*problems, *progress.problems]


def test_links_are_removed_and_what_they_lead_to_stays(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "w1"
    (folder / "checkpoints" / "deep").mkdir(parents=True)
    (folder / "checkpoints" / "deep" / "out").symlink_to(outside)
    (folder / "out").symlink_to(outside / "treasure")
    (folder / "lost").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    deletion = Deletion(tmp_path / "deleting")
    deletion.take(folder)
    assert emptied(deletion) == []
    assert list((tmp_path / "deleting").iterdir()) == []
    assert (outside / "treasure").read_text() == "gold"


def test_a_link_in_place_of_the_folder_is_removed_and_not_followed(
    tmp_path: Path, outside: Path
) -> None:
    folder = tmp_path / "w1"
    folder.symlink_to(outside)
    deletion = Deletion(tmp_path / "deleting")
    deletion.take(folder)
    assert emptied(deletion) == []
    assert (outside / "treasure").read_text() == "gold"


def test_thousands_of_folders_inside_each_other_go_in_bounded_parts(tmp_path: Path) -> None:
    folder = tmp_path / "w1"
    folder.mkdir()
    inner = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=inner)
        below = os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = below
    os.close(inner)
    deletion = Deletion(tmp_path / "deleting")
    deletion.take(folder)
    first = deletion.go_on(100)
    assert not first.is_done
    assert 100 <= first.entries <= 101
    assert emptied(Deletion(tmp_path / "deleting"), 500) == [], "another process goes on"
    assert list((tmp_path / "deleting").iterdir()) == []


MOUNTED = """
import sys
from pathlib import Path
from parkade.engines.local.deleting import Deletion
deletion = Deletion(Path(sys.argv[1]))
while not (progress := deletion.go_on(100)).is_done:
    print(progress.problems)
print(progress.problems)
"""


def test_a_file_system_mounted_inside_is_not_entered(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "w1"
    (folder / "mnt").mkdir(parents=True)
    deletion = Deletion(tmp_path / "deleting")
    deletion.take(folder)
    (taken,) = (tmp_path / "deleting").iterdir()
    script = f"mount --bind {outside} {taken}/mnt || exit 77; exec {sys.executable} -c '{MOUNTED}'"
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", f"{script} {tmp_path}/deleting"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (1, 77):
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert "busy" in done.stdout or "cross-device" in done.stdout, done.stdout
    assert (outside / "treasure").read_text() == "gold"


NEIGHBOURS = """
import sys
from parkade.engines.local import deleting
from parkade.engines.local.deleting import Deletion
from pathlib import Path
deleting.MOST_STUCK = int(sys.argv[2])
deletion, steps = Deletion(Path(sys.argv[1])), 0
while not (progress := deletion.go_on(3)).is_done:
    steps += 1
    assert steps < 100
    print(*progress.problems, sep="\\n")
print(*progress.problems, sep="\\n")
"""


@pytest.mark.parametrize(("most_stuck", "left"), [(100, 5), (2, None)])
def test_what_cannot_be_deleted_keeps_none_of_its_neighbours(
    tmp_path: Path, outside: Path, most_stuck: int, left: int | None
) -> None:
    folder = tmp_path / "w1"
    for number in range(5):
        (folder / "inner" / f"mnt{number}").mkdir(parents=True)
    for number in range(20):
        (folder / "inner" / f"file{number}").write_text("x")
        (folder / f"file{number}").write_text("x")
    place = tmp_path / "deleting"
    deletion = Deletion(place)
    deletion.take(folder)
    (taken,) = place.iterdir()
    mounts = " && ".join(f"mount --bind {outside} {taken}/inner/mnt{n}" for n in range(5))
    program = tmp_path / "program.py"
    program.write_text(NEIGHBOURS)
    run_it = f"{sys.executable} {program} {place} {most_stuck}"
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", f"{{ {mounts}; }} || exit 77; exec {run_it}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert (outside / "treasure").read_text() == "gold"
    if left is not None:
        told = [line for line in done.stdout.splitlines() if line]
        assert sorted(line.split(": ")[0][-4:] for line in told) == [f"mnt{n}" for n in range(5)]
        names = sorted(path.name for path in place.rglob("*"))
        assert names[-5:] == [f"mnt{number}" for number in range(5)]
        assert len(names) == 6, names
    else:
        assert "more that cannot be deleted" in done.stdout


def test_what_is_counted_is_never_measured_through_a_link(tmp_path: Path, outside: Path) -> None:
    """A folder of the user's and a link to a large one change places all the while."""
    with (outside / "large").open("wb") as large:
        os.posix_fallocate(large.fileno(), 0, 16 * 1024 * 1024)
    folder = tmp_path / "w1"
    (folder / "inner").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    swap = (
        "import sys; from parkade.engines.local.spares import exchange; from pathlib import Path\n"
        "while True: exchange(Path(sys.argv[1], 'inner'), Path(sys.argv[1], 'link'))"
    )
    swapping = subprocess.Popen([sys.executable, "-c", swap, str(folder)])
    try:
        until(lambda: (folder / "inner").is_symlink())
        measured = [bytes_of(folder, 100) for _ in range(2_000)]
    finally:
        swapping.kill()
        swapping.wait()
    assert None not in measured
    assert max(each or 0 for each in measured) < 1024 * 1024


def test_what_is_too_deep_to_count_is_not_counted(tmp_path: Path) -> None:
    deep = tmp_path / "w1" / "/".join("d" * MOST_DEPTH)
    deep.mkdir(parents=True)
    assert bytes_of(tmp_path / "w1" / "d", 1_000) is not None
    (deep / "d").mkdir()
    assert bytes_of(tmp_path / "w1", 1_000) is None


CLOSED = """
import os, sys
from pathlib import Path
from parkade.engines.local.deleting import Deletion
os.setgid(65534); os.setuid(65534)
deletion = Deletion(Path(sys.argv[1]) / "deleting")
deletion.take(Path(sys.argv[1]) / "w1")
problems = []
while not (progress := deletion.go_on(100)).is_done:
    problems += progress.problems
print(problems, list((Path(sys.argv[1]) / "deleting").iterdir()))
"""


def test_folders_that_their_user_closed_go_too() -> None:
    as_other = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as base:
        closed = Path(base, "w1", "checkpoints", "closed")
        closed.mkdir(parents=True)
        (closed / "file").write_text("x")
        closed.chmod(0)
        program = CLOSED
        if as_other:
            for path in (Path(base), Path(base, "w1"), closed.parent, closed):
                os.chown(path, 65534, 65534)
        else:
            program = CLOSED.replace("os.setgid(65534); os.setuid(65534)", "")
        done = subprocess.run(
            [sys.executable, "-c", program, base], capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == "[] []", done.stderr


def test_a_folder_that_cannot_be_moved_holds_up_no_other_and_is_named_once(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        attempts = [attempt_of("true"), attempt_of("true")]
        for attempt in attempts:
            await ended(place, attempt)
        engine = place.engine()
        looked = (await engine.idle_folders(0)).folders
        answers = [it for each in attempts for it in answer(each, 1, is_due=True)]
        deleting = place.data / "deleting"
        if deleting.exists():
            deleting.rmdir()
        deleting.write_text("in the way")
        assert await engine.settle_folders(looked, answers) == []
        deleting.unlink()
        gone = await engine.settle_folders(looked, answers)
        assert len(gone) == 2
        problems = await engine.delete_folders()
        assert len(problems) == 2
        assert await engine.delete_folders() == ()

    run(body())
