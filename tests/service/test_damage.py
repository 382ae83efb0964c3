"""A damaged file of the journal: the start and `admin verify` say what to do, and nothing else."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from parkade.ports import StoreError
from parkade.service.journal import check_journal
from parkade.service.settings import ServiceSettings
from parkade.service.wiring import EXIT_SOFTWARE, Wires, open_plane
from tests import builders
from tests.control.journals import a_journal, keep_snapshot
from tests.control.test_whole import REPLACE_BODY, damage
from tests.service.served import Served, serving
from tests.service.test_journal import keep_answer

PAGE = 4096
SAYS = ("restore", "Restore", "start the server", "is not there", "newer Parkade", "backup")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = a_journal(tmp_path / "data" / "parkade.sqlite3")
    keep_snapshot(path)
    keep_answer(path)
    return path


def damaged(kept: bytes, seed: int) -> bytes:
    """Some bytes, a page, a run of bytes or the end of the file are not what was written."""
    chance = random.Random(seed)
    content = bytearray(kept)
    match seed % 5:
        case 0:
            for _ in range(chance.choice((1, 1, 8, 200))):
                content[chance.randrange(len(content))] = chance.randrange(256)
        case 1:
            # The header and the schema, where a byte does the most.
            for _ in range(chance.choice((1, 2, 5))):
                content[chance.randrange(PAGE)] = chance.randrange(256)
        case 2:
            page = PAGE * chance.randrange(len(content) // PAGE)
            content[page : page + PAGE] = chance.choice((bytes(PAGE), chance.randbytes(PAGE)))
        case 3:
            a, b = (PAGE * chance.randrange(len(content) // PAGE) for _ in range(2))
            content[a : a + PAGE] = kept[b : b + PAGE]
        case _:
            del content[chance.randrange(len(content)) :]
    return bytes(content)


def start(folder: Path) -> None:
    """What `up` does until it would listen."""
    settings = ServiceSettings(data_folder=folder)
    wires = Wires(on_fatal=builders.no_fatal)
    store, _, plane = open_plane(settings, wires, builders.Leading(), is_original_gone=False)
    asyncio.run(plane.close())
    store.close()


@pytest.mark.parametrize(
    "numbers", [range(40), pytest.param(range(40, 400), marks=pytest.mark.slow)]
)
def test_whatever_is_damaged_the_start_and_verify_say_what_to_do(
    file: Path, numbers: range
) -> None:
    kept = {path: path.read_bytes() for path in file.parent.iterdir() if path.is_file()}
    found = []
    for seed in numbers:
        for attempt in (check_journal, start):
            for path in file.parent.iterdir():
                path.unlink()
            for path, content in kept.items():
                path.write_bytes(content)
            file.write_bytes(damaged(kept[file], seed))
            says = what_is_said(attempt, file.parent)
            if says is not None:
                assert any(word in says for word in SAYS), (seed, says)
                assert "\n" not in says, (seed, says)
                found.append(seed)
    assert len(set(found)) > len(numbers) // 2, "most damage is found"


def what_is_said(attempt: Callable[[Path], object], folder: Path) -> str | None:
    """Where it is refused; any other error is the test's."""
    try:
        attempt(folder)
    except StoreError as error:
        return str(error)
    return None


@pytest.mark.system
def test_up_on_a_damaged_file_ends_with_a_sentence(tmp_path: Path) -> None:
    with serving(tmp_path, is_started=False) as served:
        path = a_journal(served.data / "parkade.sqlite3")
        whole = path.read_bytes()
        for content in (whole[:100], whole[:PAGE], b"SQLite format 3\0" + bytes(5000), b"x" * 9000):
            path.write_bytes(content)
            assert_refused(served)
            assert path.read_bytes() == content, "what could be looked at is left as it is"


@pytest.mark.system
def test_a_server_ends_over_damage_that_its_start_did_not_read(tmp_path: Path) -> None:
    with serving(tmp_path, is_started=False) as served:
        path = a_journal(served.data / "parkade.sqlite3")
        keep_snapshot(path)
        damage(path, REPLACE_BODY)
        with served.errors.open("w") as output:
            process = served.spawn(output)
            process.communicate(timeout=120)
        told = served.errors.read_text()
    assert process.returncode == EXIT_SOFTWARE, told
    assert "Traceback" not in told
    assert "entry 3 of the journal is not what was written" in told and "restore a backup" in told


def assert_refused(served: Served) -> None:
    errors = served.errors
    with errors.open("w") as output:
        process = served.spawn(output)
        process.communicate(timeout=120)
    told = errors.read_text()
    assert process.returncode == 2, told
    assert "Traceback" not in told
    assert "backup" in told, told
