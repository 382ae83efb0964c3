"""Which policy a command uses: the shipped one, or a site's file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.exit_codes import MARS_CANNOT

if TYPE_CHECKING:
    from parkade.core.healing.policy import Policy

PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy", help="A policy file of the site. Default: the shipped one.", metavar="FILE"
    ),
]


def policy_from(file: Path | None) -> "Policy":
    """The policy; raises Unreadable with every error of the file, and the file's name."""
    from parkade.mars.policy_file import shipped_policy

    return shipped_policy() if file is None else policy_in(file)


def policy_in(file: Path) -> "Policy":
    """The policy of a file; raises Unreadable as `policy_from` does."""
    from parkade.cli.files import named_in_faults, read_text
    from parkade.mars.policy_file import load_policy

    with named_in_faults(file):
        return load_policy(read_text(file, exit_code=MARS_CANNOT))
