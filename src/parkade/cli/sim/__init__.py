"""`parkade sim`: the shipped program in simulation, by random stories, searched, and on traces."""

import typer

from parkade.cli.sim import book, check, dynamics, fuzz, replay, what_if

simulation = typer.Typer(help="Prove the shipped program in simulation.", no_args_is_help=True)
simulation.command("book")(book.book)
simulation.command("check")(check.check)
simulation.command("dynamics")(dynamics.dynamics)
simulation.command("fuzz")(fuzz.fuzz)
simulation.command("replay")(replay.replay)
simulation.command("what-if")(what_if.what_if)
simulation.command("example")(replay.example)
