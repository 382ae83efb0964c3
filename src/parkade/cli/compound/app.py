"""The commands of `parkade compound` by name."""

import typer

from parkade.cli.compound import run, serve

compound = typer.Typer(help="Networks of model calls.", no_args_is_help=True)
compound.command("run")(run.run)
compound.command("serve")(serve.serve)
