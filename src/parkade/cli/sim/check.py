"""`parkade sim check`: every state of a small world, up to a bound."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from parkade.cli.calling import fail, server_extra
from parkade.cli.exit_codes import SIM_FOUND
from parkade.cli.sim.results import keep_results, make_folder
from parkade.wire.exits import EXIT_USAGE

if TYPE_CHECKING:
    from parkade.sim.check.search import Found, Level

MOST_JOBS = 255
"""As many as a place of a state can tell apart, beside the one that wrote the root; a test holds it
to `check.frontier`, which loads too much for a command's start."""


def check(
    world: Annotated[
        str,
        typer.Option(
            help="One of the small worlds, such as owners, elastic or linked; all: in turn."
        ),
    ] = "all",
    depth: Annotated[int | None, typer.Option(min=1, help="Acts from the beginning.")] = None,
    states: Annotated[int | None, typer.Option(min=1, help="Distinct states, at most.")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Of each world; default 60 with no other bound.")
    ] = None,
    rest_every: Annotated[
        int,
        typer.Option(
            min=1,
            help="Beyond depth 3, each so many-th state must come to rest.",
            metavar="N",
        ),
    ] = 1,
    jobs: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_JOBS, help="Processes that search, beside the one that keeps."
        ),
    ] = 1,
    results: Annotated[
        Path | None,
        typer.Option(
            help="What each world came to also goes to check-WORLD.json there.", metavar="FOLDER"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Search every state that small worlds can reach, and tell the shortest way to a breach."""
    with server_extra():
        from parkade.sim.check.frontier import NoRoom
        from parkade.sim.check.processes import ProcessEnded
        from parkade.sim.check.search import Bounds, Search
        from parkade.sim.check.small_worlds import SCENARIOS
        from parkade.sim.check.story import story
    if world != "all" and world not in SCENARIOS:
        fail(f"no world {world!r}; there are: {', '.join(SCENARIOS)}", exit_code=2)
    if depth is None and states is None and seconds is None:
        seconds = 60.0
    if results is not None:
        make_folder(results)
    bounds = Bounds(depth=depth, states=states, seconds=seconds, rest_every=rest_every)
    has_breach, is_kept = False, True
    for name in SCENARIOS if world == "all" else (world,):
        scenario = SCENARIOS[name]()
        search = Search(scenario, bounds, processes=jobs, on_level=None if as_json else _say)
        try:
            found = search.run()
        except (NoRoom, ProcessEnded) as error:
            fail(str(error), exit_code=SIM_FOUND if has_breach else EXIT_USAGE)
        has_breach = has_breach or found.invariant is not None
        if as_json:
            print(msgspec.json.encode(found).decode())
        else:
            _tell(found)
            if found.invariant is not None:
                print("\n".join(story(scenario, found)))
        if results is not None:
            written = msgspec.json.encode(found) + b"\n"
            is_kept = keep_results(results, f"check-{name}", written) and is_kept
    if has_breach:
        raise typer.Exit(SIM_FOUND)
    if not is_kept:
        raise typer.Exit(EXIT_USAGE)


def _tell(found: "Found") -> None:
    """How far a world was searched."""
    rate = round(found.transitions / max(found.cpu_s, 0.001))
    print(
        f"{found.world}: {found.states:,} states, {found.transitions:,} transitions,"
        f" complete to depth {found.complete_depth}, {found.cpu_s:.1f} CPU-s"
        f" ({rate:,} transitions a second); {found.rested:,} of them come to rest,"
        f" after {found.most_rounds} clearings at most"
    )


def _say(level: "Level") -> None:
    """How far it is, for a person who waits."""
    if level.depth > 3:
        print(f"  depth {level.depth}: {level.states:,} new states", file=sys.stderr)
