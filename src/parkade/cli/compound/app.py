"""The commands of `parkade compound` by name."""

import typer

from parkade.cli.compound import draw, run, serve

compound = typer.Typer(help="Networks of model calls.", no_args_is_help=True)
compound.command("draw")(draw.draw)
compound.command("run")(run.run)
compound.command("serve")(serve.serve)
