"""`parkade sbatch` against a server: what is submitted, what is said, and what is refused."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from parkade.cli.app import app
from parkade.cli.sbatch.command import MOST_REMARKS
from tests.api.town import Town
from tests.waits import PATIENCE_S

Run = Callable[..., Result]
SCRIPT = """#!/bin/bash
#SBATCH --job-name=train
#SBATCH --gres=gpu:2
#SBATCH --mem=64G
python train.py
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, town: Town) -> Run:
    """Runs a command line as an owner, in a folder with a script."""
    town.pool()
    monkeypatch.setenv("PARKADE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("PARKADE_SERVER", town.url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.sh").write_text(SCRIPT)

    def invoke(*words: str, token: str, stdin: str = "", exit_code: int = 0) -> Result:
        monkeypatch.setenv("PARKADE_TOKEN", token)
        result = CliRunner().invoke(app, ["sbatch", *words], input=stdin)
        assert result.exit_code == exit_code, f"{words}: {result.output}{result.exception!r}"
        return result

    return invoke


# Below any floor of the market, nothing starts.
NEVER = ("--limit-price", "0.000001")


def test_a_script_without_money_is_told_beside_its_number(town: Town, run: Run) -> None:
    org, owner = town.org(money="1")
    result = run("--parsable", "--limit-price", "9000", "train.sh", token=owner)
    assert result.stdout.startswith("w") and len(result.stdout.split()) == 1
    assert f"parkade deposit {org}" in result.stderr


def test_a_script_is_submitted_and_what_was_not_taken_is_said(
    town: Town, run: Run, tmp_path: Path
) -> None:
    org, owner = town.org()
    result = run(*NEVER, f"--account={org}", "train.sh", token=owner)
    *_, name = result.stdout.splitlines()[0].split()
    assert result.stdout.startswith("Submitted batch job w")
    assert "line 4: --mem=64G: each GPU brings its share" in result.stderr
    seen = town.get(f"/workloads/{name}", owner).json()
    assert (seen["name"], seen["nodes"], seen["gpus"]) == ("train", 1, 2)
    assert seen["spec"]["workdir"] == str(tmp_path)
    assert "python train.py" in seen["spec"]["command"]
    shown = CliRunner().invoke(app, ["status", name], env={"PARKADE_TOKEN": owner}).stdout
    assert "sbatch train" in shown and "python train.py" in shown
    assert "cat >kit.sh" not in shown and len(shown.splitlines()) < 40, shown
    town.post(f"/workloads/{name}/cancel", token=owner)


def test_options_of_the_command_line_win_and_scripts_read_the_id_alone(
    town: Town, run: Run
) -> None:
    _, owner = town.org()
    result = run(*NEVER, "--parsable", "-Q", "-H", "-J", "other", "-", token=owner, stdin=SCRIPT)
    name = result.stdout.strip()
    assert not result.stderr
    seen = town.get(f"/workloads/{name}", owner).json()
    assert (seen["name"], seen["phase"]) == ("other", "held")
    after = run(*NEVER, "--json", f"--dependency=afterok:{name}", "train.sh", token=owner)
    assert json.loads(after.stdout)["spec"]["after_ok"] == [name]
    town.post(f"/workloads/{name}/cancel", token=owner)


def test_an_account_that_is_not_the_callers_org_is_refused_with_its_line(
    town: Town, run: Run, tmp_path: Path
) -> None:
    org, owner = town.org()
    other, _ = town.org()
    (tmp_path / "theirs.sh").write_text(
        f"#!/bin/bash\n#SBATCH --gpus=1\n#SBATCH -A {other}\ntrue\n"
    )
    refused = run(*NEVER, "theirs.sh", token=owner, exit_code=3)
    assert f"line 3: --account={other}: you belong to {org}, which pays" in refused.stderr
    as_operator = run(*NEVER, "--json", "theirs.sh", token=town.operator)
    answer = json.loads(as_operator.stdout)
    assert answer["org"] == other
    town.post(f"/workloads/{answer['workload']}/cancel")


def test_a_test_submits_nothing_and_a_dry_run_asks_nobody(town: Town, run: Run) -> None:
    _, owner = town.org()
    tested = run(*NEVER, "--test-only", "train.sh", token=owner)
    assert "price to win" in tested.stdout or "market" in tested.stdout
    assert town.get("/workloads", owner).json()["workloads"] == []
    dry = run(*NEVER, "--dry-run", "--json", "--wrap", "python a.py", "-G1", token="none")
    made = json.loads(dry.stdout)
    assert made["name"] == "wrap" and "#!/bin/sh\npython a.py\n" in made["command"]
    shown = run(*NEVER, "--dry-run", "--checkpoint", "hf", "train.sh", token="none")
    assert '{"preset": "hf"}' in shown.stdout


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (["train.sh"], 3, "limit_price: spot needs"),
        ([*NEVER, "nowhere.sh"], 3, "nowhere.sh cannot be read"),
        ([*NEVER, "--gpus-pre-node=1", "train.sh"], 3, "--gpus-pre-node is no option of sbatch"),
        ([*NEVER, "--begin=now+1hour", "train.sh"], 3, "a bid cannot wait for a date"),
        ([*NEVER, "--signal=KILL", "train.sh"], 3, "write one of HUP"),
        ([*NEVER, "--wrap=true", "train.sh"], 2, "give no file beside it"),
        ([*NEVER, "-"], 3, "line 1: a batch script begins with #!"),
    ],
)
def test_what_cannot_be_submitted_is_refused_with_its_place(
    town: Town, run: Run, words: list[str], exit_code: int, said: str
) -> None:
    _, owner = town.org()
    result = run(*words, token=owner, exit_code=exit_code)
    assert said in " ".join(result.stderr.split())
    assert town.get("/workloads", owner).json()["workloads"] == []


def test_all_wrong_lines_are_told_at_once(town: Town, run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.sh").write_text(
        "#!/bin/bash\n#SBATCH --nods=1\n#SBATCH --begin=now\n#SBATCH \x1b[31m\ntrue\n"
    )
    result = run(*NEVER, "bad.sh", token=town.operator, exit_code=3)
    assert [line.split(":")[0].strip() for line in result.stderr.splitlines()[1:]] == [
        "line 2",
        "line 3",
        "line 4",
    ]
    assert "\x1b" not in result.stderr


ENDLESS = {
    "zeros": "cat /dev/zero",
    "lines": "yes 'echo hello'",
    "options": "yes '#SBATCH --foo'",
    "a word": "printf '#SBATCH --job-name='; tr '\\0' x </dev/zero",
}


@pytest.mark.parametrize("feed", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_script_from_a_pipe_that_never_ends_is_refused(feed: str) -> None:
    """No server is asked: it is longer than any command."""
    program = shlex.join([sys.executable, "-c", "from parkade.cli import main; main()"])
    script = f"printf '#!/bin/sh\\n'; {feed}"
    line = f"({script}) | {program} sbatch --limit-price 2 --gpus-per-node=1"
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PARKADE_SERVER": "http://127.0.0.1:9"},
    )
    assert done.returncode == 3
    assert "longer than 65,536 characters" in done.stderr


def test_of_many_faults_some_are_told_and_all_are_counted(run: Run, town: Town) -> None:
    _, owner = town.org()
    script = "#!/bin/sh\n" + "#SBATCH --foo\n" * 100
    said = run(*NEVER, "-", token=owner, stdin=script, exit_code=3).stderr
    assert said.count("--foo is no option") == MOST_REMARKS
    assert f"and {100 - MOST_REMARKS} more" in said
