"""What the pages say of the code is what the code says of itself."""

import re
from pathlib import Path
from typing import cast

import pytest

from parkade.api import create_app
from parkade.api.plane import Plane
from parkade.core.units.refusal import Reason
from parkade.core.workloads.life import Cause, Phase
from parkade.wire.problems import CODES
from tests.docs.drawing import draw
from tests.docs.pages import ROOT, documents, headings, links, table

DOCS = ROOT / "docs"
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
GLOSSARY = {
    word for row in table(DOCS / "glossary.md", "Words") for word in re.split(r", ", row[0])
}
# What others call things that have a word here; nobody would know which one to trust.
OTHERS = ("customer account", "host", "preemptible", "quota", "spot instance", "tenant", "wallet")


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in headings(target), f"{document.name}: {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    waiting = [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        for link in links(document):
            target = (document.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert {each for each in documents() if "decisions" not in each.parts} <= reached


def test_the_life_of_a_workload_is_drawn_from_its_table() -> None:
    page = DOCS / "life.md"
    (drawn,) = re.findall(r"^```mermaid\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    assert drawn == draw(), "python -m tests.docs.drawing"
    phases = re.findall(r"^\| (\w+) \| ", page.read_text("utf-8").partition("## Why")[0], re.M)
    assert [phase for phase in phases if phase != "phase"] == [phase.value for phase in Phase]
    causes = [row[0] for row in table(page, "Why it has to leave")]
    assert causes == [cause.value for cause in Cause]


def test_the_codes_of_the_api_are_those_of_the_code() -> None:
    told = {
        row[0].strip("`"): (int(row[1]), int(row[2])) for row in table(DOCS / "api.md", "Codes")
    }
    assert told == {name: (code.status, code.exit) for name, code in CODES.items()}
    assert {reason.value for reason in Reason} <= set(told)


@pytest.mark.parametrize("page", ["security.md", "invariants.md"])
def test_what_a_page_names_as_its_witness_is_there(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert named
    for path, test in named:
        code = (ROOT / path).read_text("utf-8")
        assert re.search(rf"^ *(async )?def {test}\(", code, re.M), f"{path}::{test}"


def test_every_line_about_security_has_a_witness() -> None:
    page = DOCS / "security.md"
    for heading in ("Server", "API", "Agent and local engine", "Keeper", "Ranks"):
        for what, witness in table(page, heading):
            assert re.fullmatch(r"`tests/[\w/]+\.py::\w+`", witness), what
    for what, witness in table(page, "Command line, client, demo"):
        target = re.fullmatch(r"`make (\w+)`", witness)
        assert "::" in witness or (target and f"\n{target[1]}:" in MAKEFILE), what


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    words = [row[0] for row in table(DOCS / "glossary.md", "Words")]
    assert words == sorted(set(words), key=str.casefold)


def test_every_noun_of_the_api_is_in_the_glossary() -> None:
    paths = create_app(cast(Plane, None)).openapi()["paths"]
    nouns = {re.split(r"/", path)[2] for path in paths} - {"whoami", "clock"}
    assert {noun.removesuffix("s") for noun in nouns} <= GLOSSARY


def test_words_that_have_another_word_here_are_not_used() -> None:
    for document in documents():
        if "decisions" in document.parts:
            continue
        text = document.read_text("utf-8")
        for word in OTHERS:
            assert not re.search(rf"\b{word}s?\b", text), f"{document.name}: {word}"
