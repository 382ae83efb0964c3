"""`parkade sim`: the shipped program in simulation, searched exhaustively, and on real traces."""

import typer

from parkade.cli.sim import check, replay

sim = typer.Typer(help="Prove the shipped program in simulation.", no_args_is_help=True)
sim.command("check")(check.check)
sim.command("replay")(replay.replay)
sim.command("example")(replay.example)
