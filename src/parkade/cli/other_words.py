"""What people type who know another tool first: the answer names the command that does it here."""

import os
from typing import Any

from typer.core import TyperGroup

from parkade.cli.completing import ASKED_BY, attach
from parkade.cli.usage import UsageError, worded

HERE = {
    "apply": "submit -f FILE",
    "balance": "status",
    "credits": "status",
    "delete": "cancel",
    "describe": "show WORKLOAD",
    "down": "cancel",
    "get": "ps",
    "help": "--help",
    "info": "status",
    "jobs": "ps",
    "kill": "cancel",
    "launch": "submit",
    "list": "ps",
    "log": "logs",
    "ls": "ps",
    "queue": "ps",
    "remove": "cancel",
    "rm": "cancel",
    "sacct": "history",
    "scancel": "cancel",
    "sinfo": "node list",
    "squeue": "ps",
    "srun": "run",
    "start": "submit",
    "stop": "cancel",
    "tail": "logs -f",
    "top": "ps --watch",
    "version": "--version",
    "whoami": "status",
}
"""By another tool's word, the command line that does it."""


class Commands(TyperGroup):
    """The commands of the program; of words that are none, those of other tools are answered.
    Arguments that are wrong, of any command, are told in our words."""

    def main(self, *args: Any, **keys: Any) -> Any:
        """Runs the program; where a shell asks for completions, values are known too."""
        if ASKED_BY in os.environ:
            attach(self)
        return super().main(*args, **keys)

    def make_context(self, *args: Any, **keys: Any) -> Any:
        """Reads the options of the whole program."""
        try:
            return super().make_context(*args, **keys)
        except UsageError as error:
            raise worded(error) from None

    def invoke(self, ctx: Any) -> Any:
        """Reads the arguments of a command, and runs it."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise worded(error) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command of the first word."""
        here = HERE.get(args[0])
        if here is not None and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}': `parkade {here}` does that here.")
        return super().resolve_command(ctx, args)
