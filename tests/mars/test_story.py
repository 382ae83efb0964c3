"""The story of an incident in words."""

from datetime import UTC, datetime, timedelta

import pytest

from parkade.api.views.mars import incident as shown
from parkade.core.healing.incident import Incident, Next, StoryLine
from parkade.core.healing.verdict import Action, Level
from parkade.core.units.time import SECOND_US
from parkade.mars.story import sentences, since, story_page, story_text

BEGAN_US = 1_700_000_000 * SECOND_US


def incident(*lines: StoryLine) -> Incident:
    return Incident(
        incident="incident-1",
        node="n1",
        pool="lab",
        market="lab",
        fabric="a",
        opened_us=BEGAN_US,
        level=Level.FATAL,
        action=Action.RESET_GPU,
        device=None,
        signal="xid/95",
        next=Next.RESET,
        changed_us=BEGAN_US,
        lines=lines,
    )


def line(after_s: float, kind: str, says: str) -> StoryLine:
    return StoryLine(at_us=BEGAN_US + round(after_s * SECOND_US), kind=kind, says=says)


def test_a_story_is_told_in_the_order_of_its_times_and_in_words() -> None:
    late = line(3.0, "work", "w1 runs again")
    opened = line(0, "opened", "fatal: xid/95, reset_gpu; held: observe_only")
    same = (line(3.1, "repair", "first at 3.1"), line(3.1, "node", "second at 3.1"))
    told = shown(incident(opened, *same, late))
    says = [it.says for it in told.lines]
    assert says[1:] == ["w1 runs again", "first at 3.1", "second at 3.1"]
    assert says[0] == "fatal: xid/95, reset gpu; held: Mars was stopped"
    assert "reset_gpu" not in story_text(told) + story_page(told)


def test_on_a_narrow_screen_a_line_goes_on_below_its_words_and_none_is_lost() -> None:
    says = "validate done: " + "GPU 3 fails its test of memory; " * 6
    told = shown(incident(line(0, "opened", "fatal"), line(2.9, "repair", says)))
    wide, narrow = story_text(told), story_text(told, width=80)
    assert max(map(len, wide.splitlines())) > 200 and max(map(len, narrow.splitlines())) <= 80
    assert wide.split() == narrow.split()
    first, second = [it for it in narrow.splitlines() if "GPU 3" in it][:2]
    begins = first.index("validate")
    assert second[:begins].isspace() and not second[begins].isspace()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "+0.0 s"),
        (599.94, "+599.9 s"),
        (600.0, "+10m00s"),
        (2790.3, "+46m30s"),
        (3599.7, "+1h00m"),
        (90_061.0, "+25h01m"),
        (-3.0, "-3.0 s"),
    ],
)
def test_times_are_as_exact_as_matters_and_fit_their_column(seconds: float, words: str) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    assert since(began, began + timedelta(seconds=seconds)) == words
    assert len(words) <= 9


def test_reasons_are_sentences_whether_or_not_they_end_as_one() -> None:
    assert sentences(("A fault.", "2 jobs within 24 h", "")) == "A fault. 2 jobs within 24 h."
