"""The Python program of the page of the API, as it stands there."""

import re
from pathlib import Path

import pytest

from tests.crash.marketplace import POOL
from tests.docs.pages import ROOT
from tests.service.served import serving

pytestmark = pytest.mark.system

PAGE = ROOT / "docs" / "api.md"


def test_the_program_of_the_page_runs_a_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(
        r"```python\n(from pathlib import Path\n.*?)```", PAGE.read_text(), re.S
    )
    with serving(tmp_path, "--root-workloads") as served:
        served.ask("POST", "/pools", POOL)
        served.ask("POST", "/orgs", {"org": "lab"})
        served.ask("POST", "/orgs/lab/deposits", {"amount": "100"})
        served.ask("POST", "/users", {"user": "lin", "org": "lab", "role": "member"})
        token = served.ask("POST", "/tokens", {"user": "lin"})["secret"]
        monkeypatch.chdir(tmp_path)
        (tmp_path / "lin.token").write_text(token)
        exec(program.replace("http://127.0.0.1:8300", f"http://127.0.0.1:{served.port}"), {})
    says = capsys.readouterr().out
    assert "would run on" in says.splitlines()[0]
    assert re.search(r"^w1 succeeded \d", says, re.M)
    assert "\nit runs\n" in says
