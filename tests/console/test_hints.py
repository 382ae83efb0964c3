"""Commands that pages tell of are commands that there are, with the arguments that they take."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

import parkade.console
from parkade.cli.app import app

FOLDER = Path(parkade.console.__file__).parent
TOLD = re.compile(r"(?:<code>|`)(parkade [^<`]+)(?:</code>|`)")
HINTS = sorted(
    {
        (path.name, line)
        for path in (*FOLDER.rglob("*.html"), *FOLDER.rglob("*.py"))
        for line in TOLD.findall(path.read_text("utf-8"))
    }
)


@pytest.mark.parametrize(("place", "line"), HINTS)
def test_a_command_that_a_page_tells_of_is_understood(place: str, line: str) -> None:
    command: Any = typer.main.get_command(app)
    filled_in = line.replace("{context.viewer.token}", "TOKEN").replace("{{ it.sequence }}", "7")
    words = shlex.split(filled_in)[1:]
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, f"{place}: there is no {line}"
        command, words = command.commands[words[0]], words[1:]
    if words:
        command.make_context(command.name, words)


def test_hints_are_found() -> None:
    assert len(HINTS) >= 5
