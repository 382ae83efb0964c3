"""A data folder that was moved works; a copy is refused; neither touches what the original runs."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from parkade.service.place import FILE, Place, settle
from parkade.service.settings import BadSettings
from tests.service.served import Served, serving
from tests.waits import PATIENCE_S

pytestmark = pytest.mark.system


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder in which an attempt runs."""
    made = tmp_path / "data"
    for name in ("live", "ended", "orgs/acme"):
        (made / "pools" / "box" / "engine" / name).mkdir(parents=True)
    live = made / "pools" / "box" / "engine" / "live"
    (live / "w1.1").symlink_to("../orgs/acme")
    settle(made)
    return made


def attempts(folder: Path, kind: str = "live") -> list[str]:
    return [path.name for path in (folder / "pools" / "box" / "engine" / kind).iterdir()]


def test_a_folder_is_used_again_where_it_lies(folder: Path) -> None:
    settle(folder)
    kept = msgspec.json.decode((folder / FILE).read_bytes(), type=Place)
    other_device = msgspec.structs.replace(kept, device=kept.device + 1)
    (folder / FILE).write_bytes(msgspec.json.encode(other_device))
    settle(folder)
    assert attempts(folder) == ["w1.1"]


def test_a_copy_is_refused_and_says_whose_it_is(folder: Path) -> None:
    copy = Path(shutil.copytree(folder, folder.with_name("copy"), symlinks=True))
    for _ in range(2):
        with pytest.raises(BadSettings, match=f"{copy} is a copy: its original is {folder}"):
            settle(copy)
    assert attempts(copy) == ["w1.1"]


def test_a_copy_of_another_machine_is_refused(folder: Path) -> None:
    kept = msgspec.json.decode((folder / FILE).read_bytes(), type=Place)
    (folder / FILE).write_bytes(
        msgspec.json.encode(msgspec.structs.replace(kept, machine="another"))
    )
    with pytest.raises(BadSettings, match="is a copy"):
        settle(folder)


@pytest.mark.parametrize("is_birth_known", [True, False])
def test_a_copy_with_the_inode_of_its_original_is_refused(
    folder: Path, is_birth_known: bool
) -> None:
    """As the root of another volume has it."""
    kept = msgspec.json.decode((folder / FILE).read_bytes(), type=Place)
    if is_birth_known and kept.birth_ns is None:
        pytest.skip("this file system tells no birth")
    changed = (
        {"birth_ns": (kept.birth_ns or 0) - 1}
        if is_birth_known
        else {"birth_ns": None, "device": kept.device + 1, "file_system": 12345}
    )
    (folder / FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(kept, **changed)))
    with pytest.raises(BadSettings, match="is a copy"):
        settle(folder)
    assert Path(folder).stat().st_ino == kept.inode


def test_a_place_that_was_noted_without_birth_is_read_and_completed(folder: Path) -> None:
    kept = msgspec.json.decode((folder / FILE).read_bytes(), type=Place)
    old = msgspec.structs.replace(kept, birth_ns=None, file_system=None, device=kept.device + 1)
    (folder / FILE).write_bytes(msgspec.json.encode(old))
    settle(folder)
    assert msgspec.json.decode((folder / FILE).read_bytes(), type=Place) == kept


def test_a_copy_that_replaces_its_original_lets_go_of_what_that_started(folder: Path) -> None:
    copy = Path(shutil.copytree(folder, folder.with_name("copy"), symlinks=True))
    settle(copy, is_original_gone=True)
    assert (attempts(copy), attempts(copy, "ended")) == ([], ["w1.1"])
    assert attempts(folder) == ["w1.1"]
    settle(copy)


def test_a_folder_is_moved_when_nothing_runs_in_it(folder: Path) -> None:
    moved = folder.with_name("moved")
    folder.rename(moved)
    with pytest.raises(BadSettings, match=r"was moved from .* while attempts in it run \(w1.1\)"):
        settle(moved)
    (moved / "pools" / "box" / "engine" / "live" / "w1.1").unlink()
    settle(moved)
    settle(moved)


def test_a_place_that_cannot_be_read_is_told(folder: Path) -> None:
    (folder / FILE).write_text("{")
    with pytest.raises(BadSettings, match="delete that file"):
        settle(folder)


def test_a_server_on_a_copy_of_its_data_folder_does_not_start(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.stop()
        served.data.rename(tmp_path / "moved")
        shutil.copytree(tmp_path / "moved", served.data)
        assert _refusal(served).count("is a copy") == 1
        shutil.rmtree(served.data)
        (tmp_path / "moved").rename(served.data)
        served.start()
        served.stop()


def _refusal(served: Served) -> str:
    with served.spawn(subprocess.PIPE) as refused:
        _, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2 and "Traceback" not in errors
    return str(errors)
