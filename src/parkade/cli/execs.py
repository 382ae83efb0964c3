"""Commands beside a rank of a running workload: `exec`, and `attach` for a shell in a terminal.

Exit codes: that of the command, 128 + N where signal N ended it, 255 where the session was lost; a
refusal has its own, as of every command.
"""

import sys
from typing import Annotated

import typer

from parkade.cli.calling import calling, fail
from parkade.cli.choosing import Id, meant
from parkade.wire.exits import EXIT_USAGE

SHELL = ("/bin/bash",)
Rank = Annotated[int, typer.Option(help="Number of the rank.", min=0)]


def exec_(
    workload: Id,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="The command and its words.")
    ],
    rank: Rank = 0,
    tty: Annotated[
        bool, typer.Option("-t", "--tty", help="In a terminal; for programs that want one.")
    ] = False,
    no_input: Annotated[
        bool, typer.Option("-n", "--no-input", help="Leave this program's input alone.")
    ] = False,
) -> None:
    """Run a command beside a rank of a running workload, in its place and as its user.

    Input, output and exit code are the command's. It ends with the workload, and with this program.
    """
    _run(workload, tuple(command), rank, is_terminal=tty, has_input=not no_input)


def attach(workload: Id, rank: Rank = 0) -> None:
    """Open a shell in a terminal beside a rank of a running workload.

    It ends with `exit`, with the workload, and where a new line begins with ~. (tilde, full stop).
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("attach needs a terminal; use `parkade exec`", exit_code=EXIT_USAGE)
    _run(workload, SHELL, rank, is_terminal=True, has_input=True)


def _run(
    workload: str, words: tuple[str, ...], rank: int, *, is_terminal: bool, has_input: bool
) -> None:
    from parkade.cli.exec_session import Session

    with calling() as client:
        name = meant(client, workload)
        session = Session.open(client, name, words, rank=rank, is_terminal=is_terminal)
        code = session.run(has_input=has_input)
    raise typer.Exit(code)
