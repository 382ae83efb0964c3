"""`parkade agent join` as it is typed: what is refused before a cluster is looked at."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app

JOIN = ["agent", "join", "--engine", "slurm", "--observe", "--pool", "far", "--out"]
LENT = ["--lend", "buffer", "--org", "acme", "--marked"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*LENT, "n[5-6", "--floor", "1"], "--marked: 'n[5-6': a bracket is open"),
        ([*LENT, "n5", "--floor", "-1"], "--floor: '-1' is below 0"),
        ([*LENT, "n5", "--floor", "free"], "--floor: 'free' is not an amount"),
    ],
)
def test_what_cannot_be_proposed_is_refused(tmp_path: Path, words: list[str], says: str) -> None:
    done = CliRunner().invoke(app, [*JOIN, str(tmp_path / "join"), *words])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert not (tmp_path / "join").exists()
