"""Reports again and again what a cluster could have lent in the time just past; nothing is changed.

Each report is what `parkade observe sacct` says of the rows that Slurm's accounting has of that
time. It runs as a process of its own, so that a big day costs this one no memory.
"""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from parkade.cli.calling import fail

if TYPE_CHECKING:
    from parkade.engines.slurm.commands import Commands

SINFO = ("sinfo", "-a", "-N", "-o", "%N|%R|%G|%c|%T|%p|%l")


def seconds_of(text: str) -> float:
    """Of `24h`; ends the program where it is no span."""
    from parkade.wire.scalars import parse_span

    try:
        seconds = parse_span(text).total_seconds()
    except ValueError as error:
        fail(f"--report-every: {error}", exit_code=2)
    if seconds < 1:
        fail("--report-every: write at least 1s", exit_code=2)
    return seconds


def keep_reporting(commands: "Commands", folder: Path, every_s: float) -> None:
    """Until it is interrupted: one now of the last such span, then one at the end of each."""
    due = time.monotonic()
    until = datetime.now(UTC)
    while True:
        report(commands, folder, until - timedelta(seconds=every_s), until)
        due += every_s
        time.sleep(max(0.0, due - time.monotonic()))
        until = datetime.now(UTC)


def report(commands: "Commands", folder: Path, begin: datetime, end: datetime) -> None:
    """One report: rows, figures as text, and a page. What fails is said; the next one comes."""
    from parkade.ports import EngineError
    from parkade.sim.observe.asking import ASKED

    name = folder / f"report-{end:%Y-%m-%dT%H%M%S}"
    window = ("-S", f"{begin:%Y-%m-%dT%H:%M:%S}", "-E", f"{end:%Y-%m-%dT%H:%M:%S}")
    words = ("sacct", "-a", "-X", "-D", "-P", "--noconvert", *window, "-o", ASKED)
    files = {suffix: name.with_suffix(f".{suffix}") for suffix in ("sacct", "sinfo", "txt", "html")}
    try:
        files["sacct"].write_bytes(commands.run(*words))
        files["sinfo"].write_bytes(commands.run(*SINFO))
    except EngineError as error:
        typer.echo(f"{end:%F %T} UTC: no report: {error}", err=True)
        return
    observe = (
        sys.executable, "-m", "parkade.cli", "observe", "sacct", str(files["sacct"]),
        "--sinfo", str(files["sinfo"]), "--html", str(files["html"]),
    )  # fmt: skip
    done = subprocess.run(observe, capture_output=True, check=False)
    if done.returncode == 0:
        files["txt"].write_bytes(done.stdout)
        typer.echo(f"{end:%F %T} UTC: {files['txt']} and {files['html']}")
    else:
        complaint = done.stderr.decode(errors="replace").strip()
        typer.echo(f"{end:%F %T} UTC: no report: {complaint[-300:]}", err=True)
