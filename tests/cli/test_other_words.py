"""Words of other tools are answered with the command that does it here."""

import shlex

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.cli.other_words import HERE


@pytest.mark.parametrize("word", sorted(HERE))
def test_each_word_names_a_command_that_there_is(word: str) -> None:
    result = CliRunner().invoke(app, [word, "w1"])
    assert result.exit_code == 2
    assert f"parkade {HERE[word]}" in " ".join(result.output.replace("│", " ").split())
    words = [it for it in shlex.split(HERE[word]) if not it.isupper()]
    shown = CliRunner().invoke(app, [*(it for it in words if it[0] != "-"), "--help"])
    assert shown.exit_code == 0
    assert all(it in shown.output for it in words if it[0] == "-")


def test_no_command_of_our_own_is_answered_so() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert not HERE.keys() & commands.keys()


def test_a_slip_of_the_keyboard_is_answered_with_the_nearest_command() -> None:
    result = CliRunner().invoke(app, ["canel", "w1"])
    assert result.exit_code == 2
    assert "Did you mean 'cancel'" in result.output
