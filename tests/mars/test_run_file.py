"""The file of `parkade mars run`: what is refused, in which words, and its table in the docs."""

import pytest

from parkade.mars.run_file import read_run_file
from parkade.wire.yaml import Unreadable
from tests.docs.mars_run_file import PAGE, with_table

HEAD = "format: 1\nnodes: [{node: n1, local: true}]\n"
DRAIN = "drain: {set: [a, '{node}', '{reason}'], reason: [b, '{node}'], undo: [c, '{node}']"


def test_the_table_of_keys_is_that_of_the_model() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_table(page), "python -m tests.docs.mars_run_file"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("format: 1\nnodes: {n1: {local: true}}\n", "nodes", "must be a list, `[a, b]` or a line"),
        ("format: 1\nnodes: [n1]\n", "nodes[0]", "must be keys and values, not a text"),
        (HEAD + "engine: {command: sinfo -N}\n", "engine.command", "must be a list"),
        (HEAD + "engine: [sinfo, -N]\n", "engine", "must be keys and values, not a list"),
        (HEAD + DRAIN + ", count: 3, most: 3}\n", "drain.count", "must be a list"),
        (HEAD + "engine: true\n", "engine", "must be keys and values, not true or false"),
    ],
)
def test_a_value_of_another_form_is_refused_in_words(text: str, place: str, message: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_run_file(text)
    (fault,) = refused.value.problem.errors
    assert fault.place == place
    assert message in fault.message
    assert "Entry" not in fault.message and "tuple" not in fault.message
