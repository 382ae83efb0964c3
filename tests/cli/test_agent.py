"""`parkade agent end` as it is typed: what is refused before anything is ended."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app


@pytest.mark.parametrize("given", ["inf", "nan", "1e300", "-1", "604801"])
@pytest.mark.parametrize("option", ["--notice", "--timeout"])
def test_an_end_with_no_span_of_time_is_refused_with_a_bound(
    tmp_path: Path, option: str, given: str
) -> None:
    (tmp_path / "engine").mkdir()
    done = CliRunner().invoke(app, ["agent", "end", "--data-folder", str(tmp_path), option, given])
    assert done.exit_code == 2 and option in done.output and given in done.output
