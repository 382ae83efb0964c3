"""What the compound pages show and say is what the code draws and says."""

import re
from pathlib import Path

import msgspec
import pytest

from docs.compound.draw import CHARTS, FOLDER
from parkade.compound.models.local import LocalModel
from parkade.compound.network.binding import Names, bind
from parkade.compound.network.estimate import estimate
from parkade.compound.network.notation import parse
from parkade.compound.network.operators import KINDS, Asking
from parkade.compound.plots.svg import svg
from parkade.compound.values import Question
from tests.docs.pages import ROOT, table


@pytest.mark.parametrize("name", CHARTS)
def test_a_plot_is_what_the_formulas_draw(name: str) -> None:
    drawn = svg(CHARTS[name]())
    assert (FOLDER / f"{name}.svg").read_text("utf-8") == drawn, "python docs/compound/draw.py"


def test_every_plot_is_shown() -> None:
    page = (ROOT / "docs/compound/when-do-more-calls-help.md").read_text("utf-8")
    shown = set(re.findall(r"!\[[^\]]+\]\(images/(\w+)\.svg\)", page))
    drawn_elsewhere = {"routing"}  # examples/routing, from recorded answers
    assert shown == set(CHARTS) | drawn_elsewhere == {path.stem for path in FOLDER.glob("*.svg")}


def test_findings_that_the_page_names_are_findings() -> None:
    source = (ROOT / "src/parkade/compound/evaluate/planning.py").read_text("utf-8")
    words = re.sub(r'"\s+f?"', "", source)
    for finding, _ in table(ROOT / "docs/compound/plan-a-budget.md", "Read the findings"):
        opening = finding.split(" at least")[0].replace("Only so many", "Only").split(" were")[0]
        start = " ".join(opening.split()[:4])
        assert start.removesuffix(" questions") in words, finding


def test_the_errors_of_the_forecast_are_the_same_in_both_places() -> None:
    page = Path(ROOT / "docs/compound/when-do-more-calls-help.md").read_text("utf-8")
    record = (ROOT / "docs/decisions/0026-spread-of-p.md").read_text("utf-8")
    rows = r"^\| ([\d.]+[BM]) \| " + r"([\d.]+)[ |(]+" * 3 + r"([\d.]+)\)? \|$"
    told, noted = (re.findall(rows, text.replace(")", ""), re.MULTILINE) for text in (page, record))
    assert told == noted
    assert len(told) == 4


OPERATORS = (ROOT / "docs/compound/operators.md").read_text("utf-8")


def section(name: str) -> str:
    _, _, rest = OPERATORS.partition(f"\n### {name}\n")
    assert rest, f"docs/compound/operators.md has no section {name}"
    return rest.partition("\n### ")[0]


@pytest.mark.parametrize("name", KINDS)
def test_the_reference_has_every_operator_with_all_its_fields_and_its_cost(name: str) -> None:
    text, kind = section(name), KINDS[name]
    common = OPERATORS.partition("## Fields of all")[2].partition("\n## ")[0]
    for field in msgspec.structs.fields(kind):
        is_common = issubclass(kind, Asking) and field.name in Asking.__struct_fields__
        assert f"`{field.name}`" in (common if is_common else text), f"{name}.{field.name}"
    assert "Cost:" in text


def test_the_costs_of_the_reference_are_those_that_draw_estimates() -> None:
    model = LocalModel("m", lambda call: "x")
    known = Names(
        models={"m": model, "j": model},
        verifiers={"v": lambda question, candidate: True},
        functions={"f": lambda *given: True},
    )
    rows = re.findall(r"^\| `(.+)` \| (\d+) \| (\d+) \|$", OPERATORS, re.MULTILINE)
    assert len(rows) >= 15
    for text, least, most in rows:
        found = estimate(bind(parse(text), known), Question(id="q", prompt="p"))
        assert (found.least.calls, found.most.calls) == (int(least), int(most)), text
