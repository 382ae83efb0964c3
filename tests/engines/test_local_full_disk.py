"""A data folder on a disk that has neither room nor inodes left."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.engines.local import records
from parkade.ports import Phase
from tests.engines.conftest import LocalPlace, kill_keeper, up
from tests.engines.trial import (
    FOR_EVER,
    UNTIL_TERM,
    attempt_of,
    of,
    order_in,
    released,
    run,
    until,
    until_seen,
)

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB with 100 inodes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = "size=24m,nr_inodes=100,mode=755"
    mount = ["mount", "-t", "tmpfs", "-o", options, "parkade-test", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here: it takes root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def place(small_disk: Path) -> Iterator[LocalPlace]:
    made = LocalPlace(small_disk / "pool")
    made.engine()
    yield made
    assert made.ours() == []
    made.close()


def fill(disk: Path, *, with_bytes: bool) -> None:
    """Takes every inode, and every byte where asked."""
    for number in range(200):
        try:
            (disk / f"filler-{number}").touch()
        except OSError:
            break
    if with_bytes:
        with (disk / "filler-0").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 65536)


def gone(place: LocalPlace) -> bool:
    return place.ours() == []


@pytest.mark.parametrize("with_bytes", [False, True])
def test_an_order_is_given_carried_out_and_its_end_seen_without_room_for_a_file(
    place: LocalPlace, small_disk: Path, with_bytes: bool
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(UNTIL_TERM + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        keeper = place.state(attempt).keeper_pid
        fill(small_disk, with_bytes=with_bytes)
        with pytest.raises(OSError, match="No space left"):
            (place.data / "probe").touch()
        await engine.stop(attempt.attempt, order_in(0.3, 20))
        await until_seen(engine, attempt, lambda one: "notice" in one.engine_state)
        assert (place.folder(attempt) / records.NOTICE).exists()
        seen = await released(engine, attempt)
        assert not seen.is_keeper_lost
        assert place.state(attempt).keeper_pid == keeper
        assert seen.exits[0].code == 0
        await until(lambda: gone(place))

    run(body())


def test_output_that_needs_another_file_is_lost_and_the_keeper_is_not(
    place: LocalPlace, small_disk: Path
) -> None:
    async def body() -> None:
        engine, folder = place.engine(), "$PARKADE_CHECKPOINT_DIR"
        floods = f"touch {folder}/up.0; until [ -f {small_disk}/go ]; do sleep 0.02; done; "
        attempt = attempt_of(f"{floods} head -c {11 * MIB} /dev/zero; exit 7")
        await engine.launch(attempt)
        await up(place, attempt)
        (small_disk / "go.new").touch()
        fill(small_disk, with_bytes=False)
        (small_disk / "go.new").rename(small_disk / "go")
        seen = await released(engine, attempt)
        assert seen.exits[0].code == 7
        assert not seen.is_keeper_lost
        await until(lambda: gone(place))

    run(body())


def test_a_lost_keeper_is_replaced_without_room_for_a_file(
    place: LocalPlace, small_disk: Path
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        fill(small_disk, with_bytes=True)
        kill_keeper(place, attempt)
        await until_seen(engine, attempt, lambda one: one.engine_state == "adopted")
        await engine.stop(attempt.attempt, order_in(0, 0.5))
        await released(engine, attempt)
        await until(lambda: gone(place))

    run(body())


def test_a_gang_is_not_started_where_its_start_cannot_be_recorded(
    place: LocalPlace, small_disk: Path
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("exit 0")
        fill(small_disk, with_bytes=False)
        with pytest.raises(OSError, match="No space left"):
            await engine.launch(attempt)
        seen = of(await engine.observe(), attempt)
        assert seen is None or seen.phase is not Phase.RUNNING
        for number in range(30):
            (small_disk / f"filler-{number}").unlink()
        await engine.launch(attempt)
        assert (await released(engine, attempt)).exits[0].code == 0
        await until(lambda: gone(place))

    run(body())
