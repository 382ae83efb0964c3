"""Folders of work that a backup does not know."""

import subprocess
from pathlib import Path

from parkade.cli.restoring import _moves
from parkade.service.later_folders import later_folders


def test_what_was_submitted_after_the_backup_and_does_not_run_is_moved_by_the_printed_lines(
    tmp_path: Path,
) -> None:
    engine = tmp_path / "data of it" / "pools" / "lab" / "engine"
    parent = engine / "orgs" / "acme" / "workloads"
    for name in ("w2", "w3", "w10", "w11_4", "w12", "notes"):
        (parent / name / "checkpoints").mkdir(parents=True)
    runs = parent / "w12" / "attempts" / "w12.1"
    runs.mkdir(parents=True)
    (engine / "live").mkdir()
    (engine / "live" / "w12.1").symlink_to(runs)
    data, aside = tmp_path / "data of it", tmp_path / "data of it" / "replaced-1"
    (later,) = later_folders(data, 3, aside)
    assert later.names == ("w10", "w11_4")
    for line in _moves(later):
        subprocess.run(["sh", "-c", line], check=True)
    assert {it.name for it in parent.iterdir()} == {"w2", "w3", "w12", "notes"}
    moved = aside / "pools/lab/engine/orgs/acme/workloads"
    assert (moved / "w10" / "checkpoints").is_dir() and (moved / "w11_4").is_dir()
    assert later_folders(data, 3, aside) == ()
