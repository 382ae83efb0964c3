"""`parkade compound evaluate | calibrate | plan | lifecycle` as they are typed."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from parkade.cli import exit_codes
from parkade.cli.compound.app import compound
from parkade.compound.evaluate.outcomes import CountsOutcome, encode_outcomes
from tests.compound.evaluate.recorded import drawn, spread_rates

KEPT = Path(__file__).parent / "kept"


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(b"".join(encode_outcomes(drawn(spread_rates(80, 0.9, 0.05), 12))))
    return path


def typed(*words: object) -> Result:
    return CliRunner().invoke(compound, [str(word) for word in words])


def keys(value: object) -> object:
    """The shape of a document: names, and the shape of the first of a list."""
    if isinstance(value, dict):
        return {name: keys(each) for name, each in value.items()}
    if isinstance(value, list):
        return [keys(value[0])] if value else []
    return None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("evaluate-v2", ("evaluate", "OUTCOMES", "--json")),
        ("calibrate-v1", ("calibrate", "OUTCOMES", "--json")),
        ("plan-v1", ("plan", "OUTCOMES", "--budget", "0.05", "--json")),
    ],
)
def test_reports_have_the_names_of_the_kept_ones(
    name: str, words: tuple[str, ...], outcomes: Path
) -> None:
    done = typed(*(str(outcomes) if word == "OUTCOMES" else word for word in words))
    assert done.exit_code == 0, done.output
    kept = json.loads((KEPT / f"{name}.json").read_text())
    told = json.loads(done.stdout)
    assert keys(told) == keys(kept)
    assert told["version"] == kept["version"] == int(name[-1])


def test_an_evaluation_is_shown_and_plotted(outcomes: Path, tmp_path: Path) -> None:
    for plot in (tmp_path / "plot.svg", tmp_path / "plot.png"):
        done = typed("evaluate", outcomes, "-k", 1, "-k", 12, "--plot", plot)
        assert done.exit_code == 0, done.output
        assert "first accepted" in done.output.lower()
        assert plot.stat().st_size > 1_000
    assert "majority vote" in (tmp_path / "plot.svg").read_text()
    wrong = typed("evaluate", outcomes, "--plot", tmp_path / "plot.gif")
    assert wrong.exit_code == 3
    assert "ends in .svg or .png" in wrong.output


def test_a_calibration_names_the_hardest_questions(outcomes: Path) -> None:
    done = typed("calibrate", outcomes)
    assert done.exit_code == 0
    assert "hardest questions" in done.output
    assert "wrong ones accepted" in done.output


def test_a_plan_says_k_and_whether_more_calls_help(outcomes: Path, tmp_path: Path) -> None:
    done = typed(
        "plan", outcomes, "--budget", "1.50", "--questions", 1000, "--plot", tmp_path / "plan.svg"
    )
    assert done.exit_code == 0, done.output
    assert done.output.startswith("More calls help: from")
    assert "False positives cap accuracy" in done.output
    assert "ceiling" in (tmp_path / "plan.svg").read_text()
    found = json.loads(typed("plan", outcomes, "--worth", "0.01", "--json").stdout)
    assert found["goal"]["type"] == "worth"
    assert found["k"] > 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("plan", "OUTCOMES"), "exactly one of --budget, --target and --worth"),
        (("plan", "OUTCOMES", "--budget", "1", "--target", "0.5"), "exactly one of"),
        (("plan", "OUTCOMES", "--budget", "many"), "--budget: 'many' is not an amount"),
        (("plan", "OUTCOMES", "--budget", "0.0000004"), "more than six decimals"),
        (("plan", "OUTCOMES", "--target", "200"), "strictly between 0 and 1"),
        (("plan", "OUTCOMES", "--target", "95"), "write 0.95 for 95 %"),
        (("plan", "OUTCOMES", "--target", "much"), "'much' is no share; write 0.9, or 90%"),
        (("plan", "OUTCOMES", "--target", "90%1"), "'90%1' is no share"),
        (("lifecycle", "--models", "nowhere.json"), "cannot read nowhere.json: No such file"),
        (("run", "nowhere.yaml", "q.jsonl", "--out", "o"), "cannot read nowhere.yaml"),
        (("evaluate", "OUTCOMES", "-k", "99"), "K = 99 must lie in 1..12"),
        (("lifecycle",), "exactly one of --parameters, --loss and --models"),
        (("lifecycle", "--loss", "1"), "floor is 1.69"),
        (("lifecycle", "--loss", "2", "--fit", "mine"), "one of hoffmann, epoch"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    words: tuple[str, ...], complaint: str, outcomes: Path
) -> None:
    done = typed(*(str(outcomes) if word == "OUTCOMES" else word for word in words))
    assert done.exit_code == 3
    assert complaint in done.output
    assert done.output.startswith("parkade: ")
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "HERE"),
        ("calibrate", "HERE"),
        ("plan", "HERE", "--target", "0.5"),
        ("outcomes", "HERE", "--out", "o.jsonl"),
        ("show", "HERE", "q1"),
        ("collect", "HERE"),
        ("worker", "HERE"),
        ("distil", "HERE", "QUESTIONS", "--to", "t.jsonl"),
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("here", ["missing", "missing.jsonl", "empty", "q.jsonl/inside"])
def test_a_run_that_is_not_there_ends_every_command_with_4_in_one_line(
    words: tuple[str, ...], here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "q.jsonl").write_text('{"prompt": "what?"}\n')
    places = {"HERE": here, "QUESTIONS": "q.jsonl"}
    done = typed(*(places.get(word, word) for word in words))
    assert done.exit_code == exit_codes.COMPOUND_NOT_FOUND, done.output
    assert done.output.startswith(f"parkade: {here}"), done.output
    assert done.output.count("\n") == 1
    if words[0] in ("evaluate", "collect", "show"):
        told = json.loads(typed(*(places.get(word, word) for word in words), "--json").stdout)
        assert (told["v"], told["error"]) == (2, "not_found")


def test_labels_that_cannot_be_read_are_a_wrong_file(outcomes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text('{"version": 1, "nodes": ["generate: m"], "parents": [null]}')
    done = typed("evaluate", run, "--labels", tmp_path / "nowhere.jsonl")
    assert done.exit_code == exit_codes.COMPOUND_WRONG
    assert "nowhere.jsonl: No such file" in done.output
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b'{"id": 1, "answer": 2}\n' * 9)[:-9])
    done = typed("evaluate", run, "--labels", tmp_path / "cut.gz")
    assert done.exit_code == exit_codes.COMPOUND_WRONG
    assert "cut.gz, line" in done.output
    (run / "journal.jsonl").write_text('{"is":"call"}\n')
    done = typed("evaluate", run)
    assert done.exit_code == exit_codes.COMPOUND_BROKEN
    assert "journal.jsonl cannot be read" in done.output


def test_outcomes_without_verdicts_can_be_planned_with_an_exact_verifier(tmp_path: Path) -> None:
    path = tmp_path / "counts.jsonl"
    counts = [CountsOutcome(question=f"q{i}", samples=50, correct=i % 7) for i in range(70)]
    path.write_bytes(b"".join(encode_outcomes(counts)))
    refused = typed("plan", path, "--target", "0.9")
    assert refused.exit_code == 3
    assert "exact verifier" in refused.output
    done = typed("plan", path, "--target", "0.9", "--exact-verifier", "--json")
    assert json.loads(done.stdout)["k"] > 1


def test_a_life_cycle_from_a_size_has_the_published_saving() -> None:
    done = typed("lifecycle", "--parameters", "13e9", "--samples", "1", "--samples", "16")
    assert done.exit_code == 0, done.output
    assert "17.4 %" in done.output
    found = json.loads(typed("lifecycle", "--parameters", "13e9", "--json").stdout)
    kept = json.loads((KEPT / "lifecycle-v1.json").read_text())
    assert keys(found) == keys(kept)
    assert found["rows"][0]["flops"] == pytest.approx(8.005e22, rel=1e-3)


def test_measured_models_are_compared_at_equal_coverage(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text(
        '[{"name": "large", "parameters": 12e9, "training_tokens": 3e11, "alpha": 0.29,'
        ' "beta": 11.9}, {"name": "small", "parameters": 4.1e8, "training_tokens": 3e11,'
        ' "alpha": 0.183, "beta": 28.8}]'
    )
    done = typed("lifecycle", "--models", path, "--coverage", "0.3")
    assert done.exit_code == 0, done.output
    assert done.output.index("small") < done.output.index("large")
    found = json.loads(
        typed(
            "lifecycle",
            "--models",
            path,
            "--coverage",
            "0.9",
            "--already-trained",
            "--no-early-stop",
            "--json",
        ).stdout
    )
    kept = json.loads((KEPT / "lifecycle-models-v1.json").read_text())
    assert keys(found) == keys(kept)
    path.write_text("[{}]")
    assert typed("lifecycle", "--models", path).exit_code == 3
