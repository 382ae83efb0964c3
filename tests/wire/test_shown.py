"""How a command is shown to people."""

import pytest

from parkade.cli.sbatch import meaning, wrapping
from parkade.cli.sbatch.script import parse
from parkade.wire.shown import MOST_LINES, command_shown


def wrapped(text: str, name: str = "train.sh") -> str:
    """The command of a batch script, as `parkade sbatch` submits it."""
    read = parse(text)
    meant = meaning.mean(read.given, script=name, folder="/home/ann", env={})
    return wrapping.command_of(read, meant, (), name)


def test_a_batch_script_is_shown_by_its_name_and_its_own_first_lines() -> None:
    body = [f"echo {number}" for number in range(40)]
    script = "\n".join(["#!/bin/bash", "#SBATCH --gres=gpu:2", "", *body])
    shown = command_shown(wrapped(f"{script}\n")).split("\n")
    assert shown[0] == "sbatch train.sh"
    assert shown[1:-1] == script.split("\n")[:MOST_LINES]
    assert shown[-1] == f"… {43 - MOST_LINES} more lines"
    short = "#!/bin/bash\n#SBATCH --gres=gpu:2\npython train.py\n"
    assert command_shown(wrapped(short)) == f"sbatch train.sh\n{short}".rstrip("\n")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python train.py", "python train.py"),
        ("a\nb", "a\nb"),
        ("# parkade sbatch x\necho no script", "# parkade sbatch x\necho no script"),
        ("\n".join("abcdefghi"), "\n".join("abcdefghi")),
        ("\n".join("abcdefghij"), "\n".join("abcdefgh") + "\n… 2 more lines"),
    ],
)
def test_other_commands_are_shown_as_they_are_or_by_their_first_lines(
    command: str, expected: str
) -> None:
    assert command_shown(command) == expected
