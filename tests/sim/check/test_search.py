"""The shipped core holds its invariants in every state of the small worlds, to a small depth."""

import re
import runpy
from pathlib import Path

import pytest

from parkade.sim.check.search import Bounds, Search
from parkade.sim.check.small_worlds import SCENARIOS
from parkade.sim.check.story import story


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_invariant_breaks_in_any_state_of_the_world_to_a_small_depth(name: str) -> None:
    scenario = SCENARIOS[name]()
    found = Search(scenario, Bounds(depth=3)).run()
    assert found.invariant is None, "\n".join(story(scenario, found))
    assert found.complete_depth == 3
    assert found.states > 90


@pytest.mark.slow
def test_two_processes_find_what_one_finds() -> None:
    one, two = (
        Search(SCENARIOS["shared"](), Bounds(depth=3), processes=processes).run()
        for processes in (1, 2)
    )
    assert (one.levels, one.transitions) == (two.levels, two.transitions)


def test_a_search_ends_at_the_bound_it_reaches_first() -> None:
    found = Search(SCENARIOS["owners"](), Bounds(states=300)).run()
    assert 300 <= found.states < 400
    assert found.complete_depth == 2


def test_the_world_of_the_docs_is_found_as_they_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[3] / "docs" / "simulation" / "model-check.md"
    text = page.read_text("utf-8")
    program, says = re.findall(r"```python\n(.*?)```\n\nprints `([^`]*)`", text, re.DOTALL)[0]
    file = tmp_path / "mine.py"
    file.write_text(program)
    runpy.run_path(str(file))
    assert capsys.readouterr().out.strip() == says
