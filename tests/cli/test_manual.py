"""Manual pages say what the help says, and man reads them without a complaint."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from parkade.cli.app import app
from parkade.cli.manual import pages, text, write

PROGRAM = get_command(app)
PAGES = {page.name: page.text for page in pages(PROGRAM)}


def commands(command: Any, name: str = "parkade") -> dict[str, Any]:
    found = {name: command}
    for word, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            found |= commands(each, f"{name}-{word}")
    return found


def test_each_command_has_a_page_that_names_all_its_options() -> None:
    assert set(PAGES) == set(commands(PROGRAM))
    for name, command in commands(PROGRAM).items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                for option in parameter.opts:
                    assert text(option) in PAGES[name], (name, option)


def test_a_group_names_the_pages_of_its_commands() -> None:
    for name, command in commands(PROGRAM).items():
        for word, each in getattr(command, "commands", {}).items():
            if not each.hidden:
                assert f".BR {text(f'{name}-{word}')} (1)" in PAGES[name]


@settings(max_examples=50)
@given(st.text(alphabet=".'\\\n-a "))
def test_no_text_is_taken_for_an_order_to_roff(says: str) -> None:
    for line in text(says).split("\n"):
        assert line[:1] not in (".", "'")
        assert not re.search(r"\\(?![e&-])", line)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_reads_every_page_without_a_warning(tmp_path: Path) -> None:
    files = write(PROGRAM, tmp_path)
    asked = ["groff", "-man", "-Tutf8", "-K", "utf8", "-ww", *map(str, files)]
    shown = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    plain = re.sub(".\x08", "", shown.stdout)  # Bold is a letter struck twice.
    assert "parkade-submit" in plain and "--limit-price" in plain
