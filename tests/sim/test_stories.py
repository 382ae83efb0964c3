"""Stories of the fixed small set are sound, and the same seed is the same story everywhere."""

import os
import subprocess
import sys

import msgspec
import pytest

from parkade.sim.fuzz import FuzzReport
from parkade.sim.story import Story, StoryPlan
from tests.waits import PATIENCE_S

CALM = StoryPlan(seed=3, events=150, families=())
TROUBLED = StoryPlan(
    seed=4, events=200, families=("operators", "machines", "network", "engine", "agents", "server")
)


@pytest.mark.parametrize(
    "plan",
    [
        CALM,
        TROUBLED,
        *(
            pytest.param(StoryPlan(seed=seed, events=400), marks=pytest.mark.slow)
            for seed in range(10, 40)
        ),
    ],
    ids=lambda plan: f"seed {plan.seed}",
)
def test_a_story_breaks_no_invariant(plan: StoryPlan) -> None:
    outcome = Story(plan).tell()
    assert outcome.findings == ()
    assert outcome.events >= plan.events


def test_a_troubled_story_has_deaths_and_work_that_runs_again() -> None:
    outcome = Story(TROUBLED).tell()
    assert outcome.deaths > 0
    assert outcome.kinds["EpochOpened"] > 1
    assert outcome.kinds["Launched"] > 0


def test_a_seed_is_the_same_story_also_where_hashes_are_others() -> None:
    digests = set()
    for hashes in ("0", "4242"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "parkade.cli", "sim", "fuzz", "--seed", "4"),
                *("--events", "200", "--json"),
                *("--troubles", ",".join(TROUBLED.families or ())),
            ],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
            timeout=PATIENCE_S,
        )
        report = msgspec.json.decode(done.stdout, type=FuzzReport)
        digests.add(report.digests["4"])
    assert digests == {Story(TROUBLED).tell().digest}


def test_leaving_out_an_act_changes_no_other() -> None:
    """An act draws from its number, so the story up to it is the same."""
    whole = Story(CALM)
    whole.tell()
    kept = tuple(number for number in whole.happened if number <= 5)
    part = Story(msgspec.structs.replace(CALM, only=kept))
    part.tell()
    assert tuple(part.happened) == kept
    opening = [entry.body for entry in whole.server.disk.entries[:15]]
    assert [entry.body for entry in part.server.disk.entries[:15]] == opening
