"""The example over recorded systems: its curve, its mix, and the figures that the docs give."""

import json
import re
from pathlib import Path

import pytest

from docs.compound.draw import FOLDER
from examples.routing import curve
from examples.routing.answers import BadRow, read
from parkade.compound.plots.svg import svg
from tests.docs.pages import ROOT, table
from tests.shared_data import shared_data

PRICES = {
    "6b_finetuning": 1.0,
    "175b_finetuning": 10.0,
    "6b_verification": 200.0,
    "175b_verification": 2_000.0,
}
PAGE = ROOT / "docs/compound/when-do-more-calls-help.md"


def written(path: Path) -> Path:
    """Small is right on every fourth question, large on every second; they agree where both are."""
    rows = [
        {
            "small": {"answer": "$1,000.00" if n % 8 < 2 else f"s{n}", "is_correct": n % 8 < 2},
            "large": {"solution": f"so\nA: {1000 if n % 8 < 4 else n}", "is_correct": n % 8 < 4},
        }
        for n in range(80)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_curve_and_the_mix_are_what_can_be_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = written(tmp_path / "answers.jsonl")
    words = [str(answers), "--price", "small=1", "--price", "large=10", "--budget", "5"]
    for plot in ("plot.svg", "plot.png"):
        assert curve.main([*words, "--plot", str(tmp_path / plot)]) == 0
        assert (tmp_path / plot).stat().st_size > 1_000
    shown = capsys.readouterr().out
    assert re.search(r"^ +1 +25\.0 %  small$", shown, re.MULTILINE)
    assert re.search(r"^ +10 +50\.0 %  large$", shown, re.MULTILINE)
    # A quarter stops at small, which an exact verifier accepts; the others pay for both.
    assert re.search(r"^ +8\.5 +50\.0 %  small → large \(verified\)$", shown, re.MULTILINE)
    # 5 = 1 + 4/9 × 9: four ninths to large, the rest to small.
    mixed = r"^ +5 +36\.1 %  44 % of the questions to large, the rest to small$"
    assert re.search(mixed, shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--price", "small"], "write SYSTEM=PRICE"),
        (["--price", "small=-1"], "above 0"),
        (["--price", "tiny=1"], "line 1: needs 'tiny' with is_correct"),
    ],
)
def test_what_cannot_be_used_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert curve.main([str(written(tmp_path / "answers.jsonl")), *words]) == 2
    assert says in capsys.readouterr().err


def test_a_file_of_one_question_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"a": {"answer": "1", "is_correct": true}}\n')
    with pytest.raises(BadRow, match="at least two questions"):
        read(path, ["a"])


def test_the_figures_and_the_plot_of_the_docs_are_those_of_the_example() -> None:
    recorded = read(shared_data("eval/gsm8k_model_solutions.jsonl.gz"), tuple(PRICES))
    found = curve.curves(curve.halves(recorded), PRICES)
    points = {point.policy.name(): point for each in found.values() for point in each}
    mixed = curve.mixes(found, 500)
    for policy, cost, right in table(PAGE, "Several models"):
        told = (float(cost.replace(",", "")), right)
        if policy.startswith("best mix"):
            name = next(each for each in mixed if each.split()[-1] in policy)
            mix = mixed[name]
            assert told == (round(mix.cost), f"{100 * mix.accuracy:.1f} %"), policy
        else:
            point = points[policy]
            assert told == (round(point.cost), f"{100 * point.accuracy:.1f} %"), policy
    assert (FOLDER / "routing.svg").read_text("utf-8") == svg(curve.chart(found))
