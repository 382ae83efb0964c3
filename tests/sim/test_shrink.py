"""A failing story becomes small: only the acts that it needs are left."""

import msgspec
import pytest

from parkade.sim.findings import Finding
from parkade.sim.fuzz import command_of, format_acts, parse_acts
from parkade.sim.shrink import shrink
from parkade.sim.story import StoryOutcome, StoryPlan

PLAN = StoryPlan(seed=7, events=400)
FOUND = Finding(invariant=2, says="two on one", sequence=9, at_s=1.0)


def outcome(acts: tuple[int, ...], findings: tuple[Finding, ...]) -> StoryOutcome:
    return StoryOutcome(
        seed=7,
        events=1,
        acts=acts,
        digest="d",
        families=(),
        simulated_s=1.0,
        findings=findings,
        kinds={},
        moves={},
        owners_seated=0,
        owners_longest_s=0.0,
        deaths=0,
    )


@pytest.mark.parametrize("needed", [{17}, {3, 90}, {1, 2, 50, 99}])
def test_the_needed_acts_are_left_and_no_other(needed: set[int]) -> None:
    def play(plan: StoryPlan) -> StoryOutcome:
        acts = plan.only or ()
        return outcome(acts, (FOUND,) if needed <= set(acts) else ())

    small = shrink(PLAN, outcome(tuple(range(1, 100)), (FOUND,)), play=play)
    assert set(small.only or ()) == needed


def test_another_invariant_does_not_count_and_tries_are_bounded() -> None:
    tries = []

    def play(plan: StoryPlan) -> StoryOutcome:
        tries.append(plan)
        is_whole = len(plan.only or ()) == 64
        other = msgspec.structs.replace(FOUND, invariant=9)
        return outcome(plan.only or (), (FOUND,) if is_whole else (other,))

    small = shrink(PLAN, outcome(tuple(range(64)), (FOUND,)), tries=20, play=play)
    assert len(small.only or ()) == 64
    assert len(tries) == 20


def test_the_command_line_names_the_story() -> None:
    plan = msgspec.structs.replace(PLAN, only=(3, 8, 19, 20, 21), families=())
    assert command_of(plan) == (
        "parkade sim fuzz --seed 7 --events 400 --troubles none --only 3,8,19-21"
    )


def test_acts_are_read_as_they_are_written() -> None:
    acts = (1, 2, 3, 7, 9, 10)
    assert parse_acts(format_acts(acts)) == acts


@pytest.mark.parametrize("text", ["", "x", "3-1", "0", "1-99999999999", "1,,2"])
def test_what_are_no_acts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_acts(text)
