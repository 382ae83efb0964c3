"""`parkade mars run`, `undo` and `export`: Mars alone on a cluster without the marketplace."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import explaining, fail, refuse, warn
from parkade.cli.exit_codes import (
    INTERRUPTED,
    MARS_CANNOT,
    MARS_INVALID,
    MARS_NO_EXTRA,
    MARS_NOT_READ,
)
from parkade.cli.mars.choose import policy_from
from parkade.extras import install

if TYPE_CHECKING:
    from parkade.mars.run_file import RunFile
    from parkade.mars.running import MarsRunner

SHIPPED = (
    "prometheus-rules.yaml",
    "grafana-dashboard.json",
    "marketplace-rules.yaml",
    "marketplace-dashboard.json",
)
OWN_FILES = 64
"""That a run opens beside logs."""
Config = Annotated[
    Path | None, typer.Option("--config", help="Its file. Default: this machine, observe only.")
]
Needed = Annotated[Path, typer.Option("--config", help="The file of `mars run`.")]


def run(
    config: Config = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="End after so many rounds; default: never.")
    ] = None,
) -> None:
    """Watch nodes, serve metrics, send alerts; drain only where the file says `act: true`.

    Exit code with --rounds: 6 where a sensor could not be read in the last one.
    """
    from parkade.cli import screen

    try:
        from prometheus_client import start_http_server

        from parkade.mars.running import MarsRunner, sensors_of
        from parkade.mars.sensing import must_rest
        from parkade.service.logs import configure
    except ImportError as error:
        fail(f"{error.name} is missing: {install('server')}", exit_code=MARS_NO_EXTRA)
    from parkade.mars.drain_journal import DrainError
    from parkade.mars.kept_file import KeptFileError

    configure("text")
    with _explaining_files():
        file = _file(config)
        policy = policy_from(file.policy)
    why_rests = must_rest(file.nodes, own_files=OWN_FILES)
    if why_rests is not None:
        warn(why_rests)
    with _explaining_files(), _alone(file.journal):
        host, _, port = file.listen.rpartition(":")
        try:
            sensors = sensors_of(file, rests=why_rests is not None)
            runner = MarsRunner(file, policy, sensors, now=lambda: time.time_ns() // 1_000)
            server, _ = start_http_server(int(port), host, registry=runner.metrics.registry)
        except (OSError, OverflowError, DrainError, KeptFileError) as error:
            fail(f"cannot start: {error}", exit_code=MARS_CANNOT)
        acts = "drains where it may" if file.act else "observes only"
        address = f"http://{host}:{server.server_port}/metrics"
        screen.say(f"{screen.count(len(file.nodes), 'node')}, {acts}, metrics at {address}")
        if len(file.nodes) > 1 and not file.names_fabrics:
            screen.say("no node has a `fabric`: all count as one, suspected by what befalls any")
        with _stopping(runner) as stopped:
            try:
                if rounds is None:
                    runner.run(stopped)
                for _ in range(rounds or 0):
                    if not stopped.is_set():
                        runner.round()
            finally:
                if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                    runner.close()
                server.shutdown()
                server.server_close()
        if rounds is not None and runner.unread:
            raise typer.Exit(MARS_NOT_READ)


def undo(
    config: Needed,
    node: Annotated[list[str] | None, typer.Option(help="Only these nodes.")] = None,
) -> None:
    """Lift the drains that Mars made, and no other; stop `mars run` first.

    What the logs of nodes that Mars drained hold until now counts as dealt with: it drains
    nothing again. A node that it did not drain keeps its faults.
    """
    from parkade.cli import screen
    from parkade.mars.drain_journal import DrainError
    from parkade.mars.drains import Drains
    from parkade.mars.kept_file import KeptFileError
    from parkade.mars.undoing import drained_of, mark_read

    with explaining():
        file = _file(config)
    if file.drain is None or file.journal is None:
        keys = (("drain", file.drain), ("journal", file.journal))
        missing = " and no ".join(f"`{key}`" for key, given in keys if given is None)
        fail(f"the file names no {missing}: Mars drains nothing by it", exit_code=MARS_INVALID)
    failed = False
    with explaining(), _alone(file.journal):
        try:
            drains = Drains(file.drain, file.journal)
            now_us = time.time_ns() // 1_000
            own = sorted({each.node for each in (*drains.done, *drains.unsure)})
            names = own if not node else _known(node, file, own)
            mark_read(file, file.journal, drained_of(drains, names), now_us)
        except (DrainError, KeptFileError) as error:
            fail(str(error), exit_code=MARS_CANNOT)
        for name in names:
            try:
                kept = drains.undo(name, time.time_ns() // 1_000)
            except DrainError as error:
                failed = True
                warn(f"{name}: {error}")
            else:
                screen.say(f"{name}: {'undrained' if kept is None else kept}")
        if not names:
            screen.say("No drain of Mars stands.")
    if failed:
        raise typer.Exit(MARS_CANNOT)


def _known(names: list[str], file: "RunFile", own: list[str]) -> list[str]:
    """The names, each once; ends the program where one is no node of the file, nor drained."""
    known = sorted({*(entry.node for entry in file.nodes), *own})
    unknown = [name for name in names if name not in known]
    for name in unknown:
        close = get_close_matches(name, known, n=1)
        warn(f"{name}: no node of the file" + (f"; did you mean {close[0]}?" if close else ""))
    if unknown:
        raise typer.Exit(MARS_CANNOT)
    return list(dict.fromkeys(names))


def export(
    folder: Annotated[Path, typer.Argument(help="Where the files go.", metavar="FOLDER")],
) -> None:
    """Write the alert rules for Prometheus and the dashboard for Grafana into a folder."""
    from parkade.cli import screen
    from parkade.mars.shipped import shipped_text

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in SHIPPED:
            (folder / name).write_text(shipped_text(name), encoding="utf-8")
            screen.say(str(folder / name))
    except OSError as error:
        fail(f"{folder} cannot be written: {error.strerror}", exit_code=MARS_CANNOT)


@contextmanager
def _stopping(runner: "MarsRunner") -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event, and say what is still waited for. A second Ctrl-C waits for
    nothing: it says what that leaves open, and ends the program."""
    stopped = threading.Event()

    def say(words: str) -> None:
        # Not by print, which the signal may have interrupted.
        os.write(2, f"parkade: {words}\n".encode())

    def stop(number: int, _frame: object) -> None:
        waits_for = runner.waits_for()
        if stopped.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopped.set()
        if waits_for is not None:
            say(f"ends, and waits for {waits_for}; Ctrl-C again does not wait")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    except KeyboardInterrupt:
        waits_for = runner.waits_for()
        if waits_for is not None:
            say(
                f"does not wait for {waits_for}. It may go on, and the node may be drained or not;"
                " the journal knows of it, and the next start looks"
            )
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _alone(journal: Path | None) -> Iterator[None]:
    """With the journal for this program alone; ends it where another one works on it."""
    from parkade.mars.lock import JournalInUse, only_one

    with ExitStack() as stack:
        try:
            stack.enter_context(only_one(journal))
        except (JournalInUse, OSError) as error:
            fail(f"cannot start: {error}", exit_code=MARS_CANNOT)
        yield


@contextmanager
def _explaining_files() -> Iterator[None]:
    """As `explaining`, for a program that runs for months and talks to no server: it loads no
    client."""
    from parkade.wire.yaml import Unreadable

    try:
        yield
    except Unreadable as error:
        refuse(error.problem, as_json=False, source=error.source)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _file(config: Path | None) -> "RunFile":
    """The file, its paths counted from its folder."""
    from parkade.cli.files import named_in_faults, read_text
    from parkade.mars.run_file import default_run_file, read_run_file, rooted

    with named_in_faults(config):
        if config is None:
            return default_run_file()
        folder = Path() if str(config) == "-" else config.parent
        return rooted(read_run_file(read_text(config, exit_code=MARS_CANNOT), folder), folder)
