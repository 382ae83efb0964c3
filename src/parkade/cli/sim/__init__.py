"""`parkade sim`: the shipped program in simulation, by random stories, searched, and on traces."""

import typer

from parkade.cli.sim import check, fuzz, replay

simulation = typer.Typer(help="Prove the shipped program in simulation.", no_args_is_help=True)
simulation.command("check")(check.check)
simulation.command("fuzz")(fuzz.fuzz)
simulation.command("replay")(replay.replay)
simulation.command("example")(replay.example)
