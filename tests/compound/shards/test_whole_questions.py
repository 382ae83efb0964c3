"""Workers that share a tight budget answer whole questions, as one ordinary run does."""

from pathlib import Path

import pytest

from parkade.compound.run.budget import Budget
from tests.compound.shards.farm import Farm, ends

pytestmark = pytest.mark.system

QUESTIONS = 40
#: Calls that each question takes; it could take twice as many.
TAKES = 4


@pytest.mark.parametrize(
    ("calls", "workers"),
    [(31, 3), *(pytest.param(n, 3, marks=pytest.mark.slow) for n in (7, 50, 131)), (16, 1)],
)
def test_what_it_pays_for_is_whole_questions(tmp_path: Path, calls: int, workers: int) -> None:
    farm = Farm(tmp_path, QUESTIONS)
    farm.prepare(shard_size=5, budget=Budget(calls=calls))
    crowd = [farm.worker(pause=0.01) for _ in range(workers)]
    for each in crowd:
        status, printed = ends(each)
        assert (status, "the budget is spent" in printed) == (0, True)
    assert sum(farm.called().values()) == calls
    assert len(farm.results()) == calls // TAKES
