"""What the pages say of the code is what the code says of itself."""

import re
from pathlib import Path
from typing import Any, cast

import pytest
from typer.main import get_command

from parkade import client
from parkade.api import create_app
from parkade.api.metric_table import TABLE
from parkade.cli import exit_codes
from parkade.cli.app import app
from parkade.client.errors import class_of
from parkade.control.plane import Plane
from parkade.core.units.refusal import Reason
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.service.settings import ServiceSettings, read_settings
from parkade.wire.pools import Terms
from parkade.wire.problems import CODES
from tests.docs.drawing import draw
from tests.docs.pages import ROOT, documents, headings, links, table

DOCS = ROOT / "docs"
TEST = r"`tests/[\w/]+\.py::\w+`"
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
GLOSSARY = {
    word for row in table(DOCS / "glossary.md", "Words") for word in re.split(r", ", row[0])
}


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


def test_every_page_has_its_place_in_the_site() -> None:
    listed = (ROOT / "tools" / "site" / "index.md").read_text("utf-8").splitlines()
    pages = [path for path in documents() if "decisions" not in path.parts and "docs" in path.parts]
    missing = {str(path.relative_to(ROOT).with_suffix("")) for path in pages} - set(listed)
    assert not missing, "name them in tools/site/index.md"


def test_the_life_of_a_workload_is_drawn_from_its_table() -> None:
    page = DOCS / "life.md"
    (drawn,) = re.findall(r"^```mermaid\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    assert drawn == draw(), "python -m tests.docs.drawing"
    phases = re.findall(r"^\| (\w+) \| ", page.read_text("utf-8").partition("## Causes")[0], re.M)
    assert [phase for phase in phases if phase != "phase"] == [phase.value for phase in Phase]
    causes = [row[0] for row in table(page, "Causes of a notice")]
    assert causes == [cause.value for cause in Cause]


def test_the_codes_of_the_api_are_those_of_the_code() -> None:
    told = {
        row[0].strip("`"): (int(row[1]), int(row[2]), row[3].strip("`"))
        for row in table(DOCS / "api.md", "Codes")
    }
    assert told == {
        name: (code.status, code.exit, class_of(name).__name__) for name, code in CODES.items()
    }
    assert {name for *_, name in told.values()} <= set(client.__all__)
    assert {reason.value for reason in Reason} <= set(told)


def test_the_exit_codes_are_those_of_the_code_and_of_refusals() -> None:
    told = {int(code): tuple(rest) for code, *rest in table(DOCS / "command-line.md", "Exit codes")}
    assert told == exit_codes.EXITS
    assert {code.exit for code in CODES.values()} <= set(told)
    assert exit_codes.SAVED == EXIT_SAVED
    own = {
        value
        for name, value in vars(exit_codes).items()
        if name.startswith(("MARS_", "COMPOUND_", "SIM_", "OBSERVE_"))
    }
    assert own <= set(told)
    compound = {int(row[0]) for row in table(DOCS / "compound.md", "Exit codes and files")}
    assert compound - {0} == {code for code, words in told.items() if words[2] != "–"}


@pytest.mark.parametrize("page", ["security.md", "invariants.md", "trainers.md"])
def test_what_a_page_names_as_its_witness_is_there(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert named
    for path, test in named:
        code = (ROOT / path).read_text("utf-8")
        assert re.search(rf"^ *(async )?def {test}\(", code, re.M), f"{path}::{test}"


def test_every_line_about_security_has_a_witness() -> None:
    page = DOCS / "security.md"
    closed = ("Server", "Server under systemd", "API", "Agent and local engine", "Keeper", "Ranks")
    for heading in (*closed, "Sandbox"):
        for what, witness in table(page, heading):
            assert all(re.fullmatch(TEST, each) for each in witness.split(", ")), what
    for what, _, witness in table(DOCS / "trainers.md", "Traps"):
        assert all(re.fullmatch(TEST, each) for each in witness.split(", ")), what
    for what, witness in table(page, "Command line, client, demo"):
        target = re.fullmatch(r"`make (\w+)`", witness)
        assert "::" in witness or (target and f"\n{target[1]}:" in MAKEFILE), what


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    words = [row[0] for row in table(DOCS / "glossary.md", "Words")]
    assert words == sorted(set(words), key=str.casefold)


def test_every_noun_of_the_api_is_in_the_glossary() -> None:
    paths = create_app(cast(Plane, None)).openapi()["paths"]
    nouns = {re.split(r"/", path)[2] for path in paths} - {"whoami", "clock", "mars"}
    assert {noun.removesuffix("s") for noun in nouns} <= GLOSSARY


def test_what_a_rank_finds_is_what_the_engine_says() -> None:
    page = [row[0].strip("`") for row in table(DOCS / "programs.md", "Environment")]
    source = (ROOT / "src/parkade/engines/local/environment.py").read_text("utf-8")
    said = re.findall(r'^ +"([A-Z_]+)": ', source.partition("def rank_variables")[2], re.MULTILINE)
    assert page == said


def test_the_settings_are_those_of_the_server() -> None:
    rows = table(DOCS / "operate.md", "Settings")
    settings = read_settings({"data_folder": "."}, {})
    assert [row[0].strip("`") for row in rows] == list(ServiceSettings.__struct_fields__)
    for name, variable, built_in, _ in rows:
        assert variable.strip("`") == f"PARKADE_SERVER_{name.strip('`').upper()}"
        value = getattr(settings, name.strip("`"))
        told = ",".join(value) if isinstance(value, tuple) else str(value)
        assert name == "`data_folder`" or built_in.strip("`") == told


def test_the_terms_are_those_of_a_pool() -> None:
    rows = table(DOCS / "operate.md", "Terms of a pool")
    prices = dict.fromkeys(("pay_as_you_go", "reservation_rate", "public_floor"), "1")
    terms = Terms.model_validate({**prices, "fee": "2/7"}).model_dump(mode="json")
    assert [row[0].strip("`") for row in rows] == list(terms)
    for name, default, _ in rows:
        if default not in ("–", "the notice"):
            found = terms[name.strip("`")]
            told = str(found).lower() if isinstance(found, bool) else str(found)
            assert default == told, name


def test_the_metrics_are_those_of_the_table_that_makes_them() -> None:
    told = table(DOCS / "metrics.md", "The writer and the market")
    shown = [
        [
            f"`{row.shown}`",
            row.kind,
            ", ".join(f"`{label}`" for label in row.labels),
            row.means,
            row.worry,
        ]
        for row in TABLE
    ]
    assert told == shown


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
def test_commands_named_in_passing_are_commands(document: Path) -> None:
    for text in re.findall(r"`parkade ([a-z][^`]*)`", document.read_text("utf-8")):
        command: Any = get_command(app)
        words = text.split()
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"{document.name}: parkade {text}"
            command = command.commands[words.pop(0)]
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, text
