"""`parkade sim`: the shipped program in simulation, by random stories and searched exhaustively."""

import typer

from parkade.cli.sim import check, fuzz

sim = typer.Typer(help="Prove the shipped program in simulation.", no_args_is_help=True)
sim.command("check")(check.check)
sim.command("fuzz")(fuzz.fuzz)
