import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.units.visible import has_control_characters, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 你 text", "plain é 你 text"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("over\rwritten\x08", r"over\x0dwritten\x08"),
        ("\x7f\x9b2J", r"\u007f\u009b2J"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_what_is_shown_has_no_control_character_but_newline_and_tab(text: str) -> None:
    assert not has_control_characters(visible(text).replace("\n", "").replace("\t", ""))


@given(st.text())
def test_json_keeps_its_meaning(text: str) -> None:
    assert json.loads(visible(json.dumps(text, ensure_ascii=False))) == text
