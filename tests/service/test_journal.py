"""`parkade admin` as an operator runs it: on a folder, a backup, a damaged one."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from parkade.control.answers import KeptOutcome
from parkade.core.units.refusal import Reason, Refusal
from parkade.ports import Batch, StoredAnswer, StoreError
from parkade.service.journal import check_journal
from parkade.store import open_sqlite
from tests.control.journals import a_journal, keep_snapshot
from tests.waits import PATIENCE_S

pytestmark = pytest.mark.system

PARKADE = [sys.executable, "-c", "from parkade.cli import main; main()"]


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    path = a_journal(tmp_path / "data" / "parkade.sqlite3")
    keep_snapshot(path)
    return path.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PARKADE, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def check(place: Path) -> subprocess.CompletedProcess[str]:
    return run("admin", "verify", str(place))


def test_verify_still_answers_to_its_name_of_before(data_folder: Path) -> None:
    assert run("journal", "check", str(data_folder)).stdout.startswith(f"{data_folder}: whole; ")


def test_a_data_folder_and_a_backup_pass_with_one_line(data_folder: Path, tmp_path: Path) -> None:
    backup = Path(shutil.copy(data_folder / "parkade.sqlite3", tmp_path / "monday.sqlite3"))
    for place in (data_folder, backup):
        done = check(place)
        assert (done.returncode, done.stderr) == (0, "")
        told = f"{place}: whole; 6 entries, 2 transfers, the snapshot at entry 6;"
        assert done.stdout.startswith(told) and done.stdout.count("\n") == 1


def test_a_changed_entry_is_named_with_what_to_do(data_folder: Path) -> None:
    with sqlite3.connect(data_folder / "parkade.sqlite3") as connection:
        connection.execute("UPDATE journal SET at_us = at_us + 1 WHERE sequence = 3")
    connection.close()
    done = check(data_folder)
    assert done.returncode == 2
    assert "entry 3 of the journal" in done.stderr and "restore a backup" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert done.returncode == 2 and "is not there" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_schema_page_is_told_without_a_traceback(data_folder: Path) -> None:
    file = data_folder / "parkade.sqlite3"
    kept = file.read_bytes()
    for name in (b"credit VARCHAR", b"TABLE journal", b"INDEX transfers_debit"):
        assert name in kept[:16_384]
        for place in (0, len(name) - 1):
            at = kept.index(name) + place
            file.write_bytes(kept[:at] + b"\xc1" + kept[at + 1 :])
            with contextlib.suppress(StoreError):
                check_journal(data_folder)
    file.write_bytes(kept.replace(b"CREATE TABLE transfers", b"CREATE TABLE \xc1ransfers"))
    done = check(data_folder)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert str(data_folder) in done.stderr and "damaged" in done.stderr


def test_a_damaged_snapshot_is_told(data_folder: Path) -> None:
    with sqlite3.connect(data_folder / "parkade.sqlite3") as connection:
        connection.execute("UPDATE snapshots SET body = zeroblob(100)")
    connection.close()
    done = check(data_folder)
    assert done.returncode == 2
    assert "6 entries" in done.stderr and "the snapshot at entry 6 is damaged" in done.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("SET body = CAST(replace(body, 'conflict', 'not_yet2') AS BLOB)", "not what was written"),
        ("SET at_us = at_us + 1", "not what was written"),
        ("SET principal = 'bob'", "not what was written"),
        ("SET digest = ''", "not what was written"),
        ("SET body = 5", "not what was written"),
    ],
)
def test_a_changed_answer_of_a_repeated_request_is_told(
    data_folder: Path, change: str, told: str
) -> None:
    keep_answer(data_folder / "parkade.sqlite3")
    assert check_journal(data_folder).answers == 1
    with sqlite3.connect(data_folder / "parkade.sqlite3") as connection:
        connection.execute(f"UPDATE answers {change}")
    connection.close()
    with pytest.raises(StoreError, match=told):
        check_journal(data_folder)


def keep_answer(path: Path, *, sequence: int = 6) -> None:
    """Adds the answer to a request that was refused."""
    store = open_sqlite(path)
    refusal = Refusal(reason=Reason.CONFLICT, detail="no")
    answer = StoredAnswer(
        principal="ann",
        key="k",
        request_digest="d",
        body=msgspec.json.encode(KeptOutcome(after=6, sequence=sequence, refusal=refusal)),
        sequence=sequence,
        at_us=1,
    )
    batch = Batch(after=store.last_sequence(), entries=(), transfers=(), answers=(answer,))
    store.commit(batch)
    store.close()


def test_an_answer_that_tells_of_what_the_journal_lacks_is_told(data_folder: Path) -> None:
    keep_answer(data_folder / "parkade.sqlite3", sequence=9)
    with pytest.raises(StoreError, match="tells of entry 9, but the journal ends at 6"):
        check_journal(data_folder)


def test_verify_takes_the_data_folder_of_a_database_and_no_file_beside_one(
    data_folder: Path,
) -> None:
    address = "postgresql://parkade@/none?host=/nowhere"
    for place in ((str(data_folder),), ("--data-folder", str(data_folder))):
        done = run("admin", "verify", *place, "--database", address)
        assert done.returncode == 2 and "parkade.sqlite3" not in done.stderr
        assert "postgresql://parkade@/none" in done.stderr
    file = str(data_folder / "parkade.sqlite3")
    done = run("admin", "verify", file, "--database", address)
    assert done.returncode == 2 and "leave --database out" in done.stderr
    assert run("admin", "verify", "--data-folder", str(data_folder)).returncode == 0
    done = run("admin", "backup", f"{file}.b", "--data-folder", f"{data_folder}/none")
    assert done.returncode == 2 and "--data-folder" in done.stderr
