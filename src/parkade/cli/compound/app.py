"""The commands of `parkade compound` by name."""

import typer

from parkade.cli.compound import calibrate, evaluate, lifecycle, plan

compound = typer.Typer(help="Networks of model calls.", no_args_is_help=True)
compound.command("calibrate")(calibrate.calibrate)
compound.command("plan")(plan.plan)
compound.command("evaluate")(evaluate.evaluate)
compound.command("lifecycle")(lifecycle.lifecycle)
