"""`parkade sim fuzz`: random stories, judged after every event."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import fail, server_extra
from parkade.cli.exit_codes import SIM_FOUND
from parkade.cli.sim.results import keep_results, make_folder
from parkade.wire.exits import EXIT_USAGE

if TYPE_CHECKING:
    from parkade.sim.fuzz import FuzzReport
    from parkade.sim.story import StoryOutcome, StoryPlan


def fuzz(
    seed: Annotated[int, typer.Option(min=0, help="Of the first story.")] = 1,
    events: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="Of each story, at least.")
    ] = 400,
    seeds: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many stories.")] = 1,
    nodes: Annotated[
        int | None, typer.Option(min=3, max=10_000, help="Of the fleet; default: drawn, a few.")
    ] = None,
    troubles: Annotated[
        str | None,
        typer.Option(help="Comma-separated, or `none`; default: drawn.", metavar="LIST"),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help="The acts that happen, such as 3,8,19-24; default: all.", metavar="ACTS"),
    ] = None,
    checks: Annotated[
        bool, typer.Option(help="Judge every event; without, only speed is measured.")
    ] = True,
    shrinks: Annotated[
        bool, typer.Option("--shrink/--no-shrink", help="Make a failing story small.")
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, max=1024, help="Processes that play.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="After so many no further story begins.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="The report also goes to fuzz.json there.", metavar="FOLDER"),
    ] = None,
    tells: Annotated[
        bool, typer.Option("--tell", help="Tell the acts and events of one story in words.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Play random stories of people, owners and failures; end with 1 where a promise is broken."""
    with server_extra():
        import msgspec

        from parkade.sim import fuzz as fuzzing
        from parkade.sim.acts.choosing import ALL_FAMILIES
        from parkade.sim.shrink import tell
        from parkade.sim.story import StoryPlan
    families = None
    if troubles is not None:
        families = () if troubles == "none" else tuple(troubles.split(","))
        unknown = [it for it in families if it not in ALL_FAMILIES]
        if unknown:
            fail(f"--troubles: {unknown[0]!r} is none of {', '.join(ALL_FAMILIES)}", exit_code=2)
    try:
        acts = None if only is None else fuzzing.parse_acts(only)
    except ValueError:
        fail("--only: give numbers of acts and ranges of them, such as 3,8,19-24", exit_code=2)
    if tells and (seeds > 1 or as_json):
        fail("--tell: one story is told in words; leave --seeds and --json out", exit_code=2)
    if results is not None:
        make_folder(results)
    plan = StoryPlan(
        seed=seed, events=events, only=acts, nodes=nodes, families=families, checks=checks
    )
    report = fuzzing.fuzz(
        plan,
        range(seed, seed + seeds),
        shrinks=shrinks and only is None,
        played=lambda outcome: None if as_json else _show_story(outcome),
        jobs=1 if tells else jobs,
        seconds=seconds,
        play=_tell if tells else tell,
    )
    written = msgspec.json.format(msgspec.json.encode(report)) + b"\n"
    if as_json:
        sys.stdout.buffer.write(written)
    else:
        _show(report)
    is_kept = results is None or keep_results(results, "fuzz", written)
    if report.broken:
        raise typer.Exit(SIM_FOUND)
    if not is_kept:
        raise typer.Exit(EXIT_USAGE)


def _tell(plan: "StoryPlan") -> "StoryOutcome":
    """Plays a story and tells it in words."""
    from parkade.sim.story import Story
    from parkade.sim.telling import lines_of

    story = Story(plan)
    outcome = story.tell()
    for line in lines_of(story):
        print(line)
    return outcome


def _show_story(outcome: "StoryOutcome") -> None:
    """One line; what is drawn anew with each story is shown where it broke."""
    if not sys.stdout.isatty() and not outcome.findings:
        return
    troubles = ", ".join(outcome.families) or "no troubles"
    state = "broken" if outcome.findings else "sound"
    print(f"story {outcome.seed}: {state}, {outcome.events} events, {troubles}, {outcome.digest}")


def _show(report: "FuzzReport") -> None:
    cpu_s = report.cpu_s
    for broken in report.broken:
        finding = broken.finding
        print(f"\nseed {broken.seed} breaks invariant {finding.invariant}:")
        print(f"  {finding.says}")
        print(f"  at {finding.at_s:g} s, after event {finding.sequence} of the journal")
        print(f"  again: {broken.command}")
    moves = ", ".join(f"{cause} {count}" for cause, count in report.moves.items()) or "none"
    print(
        f"{report.stories} stories, {report.events} events, {report.simulated_s / 3600:.1f} hours"
        f" simulated in {cpu_s:.1f} CPU-s ({report.events / max(cpu_s, 0.001):.0f} events/s)"
    )
    print(f"{report.deaths} deaths of servers and agents")
    print(
        f"owners got promised seats {report.owners_seated} times, after"
        f" {report.owners_longest_s:g} s at most"
    )
    print(f"moves by cause: {moves}")
    print("nothing is broken" if not report.broken else f"{len(report.broken)} stories broken")
