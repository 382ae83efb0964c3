"""A command of `admin` that is refused has made no folder, no lock and no journal."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app

NO_DATABASE = "postgresql://parkade@127.0.0.1:1/none"


@pytest.mark.parametrize(
    "words",
    [
        ["restore", "--accept-agents", "--yes"],
        ["restore", "missing"],
        ["restore", "torn"],
        ["archive"],
        ["archive", "--before", "-90d", "--vacuum"],
        ["archive", "--dry-run"],
        ["migrate", NO_DATABASE],
        ["backup", "new"],
        ["verify"],
        ["upgrade", "--check"],
    ],
    ids=" ".join,
)
def test_a_folder_that_was_named_by_mistake_is_not_made(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn").write_text("no journal")
    done = CliRunner().invoke(app, ["admin", *words, "--data-folder", "mistaken"])
    assert done.exit_code == 2, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["torn"]
