"""Every command that README and docs print is typed by a newcomer, and shows what they show."""

from pathlib import Path

import pytest

from tests.docs.newcomer import Newcomer, matches
from tests.docs.pages import ROOT, documents, steps

pytestmark = pytest.mark.system

STORIES = [document for document in documents() if steps(document)]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("document", STORIES, ids=lambda document: document.name)
def test_every_command_does_what_the_document_shows(document: Path, tmp_path: Path) -> None:
    with Newcomer(tmp_path) as newcomer:
        for step in steps(document):
            newcomer.type(step)


@pytest.mark.parametrize("document", STORIES, ids=lambda document: document.name)
def test_what_is_run_elsewhere_is_there(document: Path) -> None:
    for step in steps(document):
        if step.rule != "elsewhere":
            continue
        program, *words = step.text.split("#")[0].split()
        is_target = program == "make" and all(f"\n{word}:" in MAKEFILE for word in words)
        assert is_target or program in ("git", "cd", "source"), step.text


def test_the_first_steps_and_the_tutorial_are_stories() -> None:
    assert {document.name for document in STORIES} >= {"README.md", "tutorial.md"}


@pytest.mark.parametrize(
    ("expected", "shown", "is_so"),
    [
        ((), "", True),
        ((), "surprise\n", False),
        (("w1  running",), "w1 running\n", True),
        (("w1  running",), "w1 queued\n", False),
        (("w1 … by 01:02:03 UTC.",), "w1 was told to leave by 11:12:13 UTC.\n", True),
        (("a", "…", "c"), "a\nb\nb\nc\n", True),
        (("a", "…", "c"), "a\nb\nd\n", False),
        (("7.00",), "8.00\n", False),
    ],
)
def test_what_is_shown_is_compared_line_by_line(
    expected: tuple[str, ...], shown: str, is_so: bool
) -> None:
    assert matches(expected, shown) is is_so
