"""What is wrong with an argument is told in the program's own words, with what to do."""

import re

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app

TYPERS_OWN = re.compile(
    r"Missing (argument|option)|No such (option|command)|Invalid value|Input should"
    r"|unexpected extra|requires an argument|is not a valid"
)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("logs", "WORKLOAD is missing: parkade logs WORKLOAD"),
        ("user set eve", "--role is missing: add --role and its value"),
        ("logs w1 --rank x", "--rank: must be a whole number"),
        ("logs w1 --rank -1", "--rank: must be 0 or more"),
        ("logs w1 --foo", "`parkade logs` has no option --foo; did you mean --follow?"),
        ("user list --zzz", "has no option --zzz; -h shows those that there are"),
        (
            "logs w1 w2",
            "`parkade logs` takes no more words, but there is w2; quote what has spaces",
        ),
        ("logs w1 --rank", "--rank needs a value after it"),
        ("user lst", "`parkade user` has no command 'lst'. Did you mean"),
        ("logs w1 --since soon", "--since: 'soon' is no instant; write 10m"),
        ("logs w1 --since tomorrow", "--since: 'tomorrow' is still to come"),
        ("--foo", "`parkade` has no option --foo"),
        ("kill w1", "`parkade cancel` does that here"),
    ],
)
def test_a_wrong_argument_is_told_in_our_words(words: str, says: str) -> None:
    result = CliRunner().invoke(app, words.split(), prog_name="parkade")
    assert result.exit_code == 2
    told = " ".join(result.output.replace("│", " ").split())
    assert says in told
    if "kill" not in words:
        assert not TYPERS_OWN.search(told), told
