"""`parkade sim what-if` on a data folder: of a running server, at rest, and without a journal."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parkade.sim.whatif.figures import WhatIfReport
from tests.crash.marketplace import POOL
from tests.service.served import serving
from tests.sim.whatif.journals import data_folder, disk_of, disk_with, rivals
from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.system

KEPT = Path(__file__).parents[1] / "sim" / "kept" / "what-if-1.json"


def what_if(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from parkade.cli import main; main()"]
    place = ["sim", "what-if", "--data-folder", str(folder)]
    return subprocess.run(
        [*program, *place, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder(tmp_path_factory.mktemp("what-if") / "data", disk_of(3))


@pytest.fixture(scope="module")
def with_lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal whose report has each of its lines: a higher floor takes a workload its seats."""
    return data_folder(tmp_path_factory.mktemp("lines") / "data", disk_with(rivals()))


def test_the_journal_of_a_running_server_gives_its_own_digest_again(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.ask("POST", "/pools", POOL)
        served.ask("POST", "/orgs", {"org": "lab"})
        served.ask("POST", "/orgs/lab/deposits", {"amount": "100"})
        spec = {"name": "one", "command": "true", "workdir": str(tmp_path), "limit_price": "2"}
        name = served.ask("POST", "/workloads", {"org": "lab", "spec": spec})["workload"]
        until(lambda: served.ask("GET", f"/workloads/{name}")["phase"] == "succeeded")
        before = served.ask("GET", f"/workloads/{name}")
        done = what_if(served.data, "--set", "fee=1/4", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)
        assert found["digest"] == found["digest_again"]
        assert found["is_own_digest"] and found["facts"] == {}
        assert found["runs"][0]["succeeded"] == 1
        assert served.ask("GET", f"/workloads/{name}") == before


def test_a_folder_at_rest_is_read_and_not_changed(at_rest: Path, tmp_path: Path) -> None:
    before = contents(at_rest)
    page = tmp_path / "report.html"
    done = what_if(at_rest, "--set", "notice=90s", "--report", str(page))
    assert (done.returncode, done.stderr) == (0, "")
    assert "the same digest, the journal's own" in done.stdout
    assert "owners' waits for seats, p99, s" in done.stdout
    text = page.read_text()
    assert "Bids, limits, claims and failures are taken as given" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert contents(at_rest) == before


def test_the_figures_have_the_form_of_the_kept_report(with_lines: Path) -> None:
    kept = msgspec.json.decode(KEPT.read_bytes(), type=WhatIfReport)
    assert kept.version == 1 and kept.runs[0].words == "recorded"
    done = what_if(with_lines, "--set", "public_floor=15", "--json")
    assert _keys(json.loads(KEPT.read_text())) <= _keys(json.loads(done.stdout))


def test_bad_changes_and_folders_end_with_what_to_do(at_rest: Path, tmp_path: Path) -> None:
    bad = what_if(at_rest, "--set", "colour=red")
    assert bad.returncode == 3 and "names no term" in bad.stderr
    none = what_if(tmp_path)
    assert none.returncode == 2 and "is not there" in none.stderr
    assert "Traceback" not in bad.stderr + none.stderr


def _keys(value: Any, place: str = "") -> set[str]:
    if isinstance(value, dict) and value:
        is_by_name = place.endswith(("gpu_hours", "notices", "facts", "skipped"))
        return {place} | {
            it
            for key, inner in value.items()
            for it in _keys(inner, place if is_by_name else f"{place}.{key}")
        }
    if isinstance(value, list) and value:
        return _keys(value[0], f"{place}[]")
    return {place}
