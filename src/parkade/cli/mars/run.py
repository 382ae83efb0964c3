"""`parkade mars run`, `undo` and `export`: Mars alone on a cluster without the marketplace."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import explaining, fail, refuse, warn
from parkade.cli.exit_codes import MARS_CANNOT, MARS_NO_EXTRA, MARS_NOT_READ
from parkade.cli.mars.choose import policy_from
from parkade.extras import install

if TYPE_CHECKING:
    from parkade.mars.run_file import RunFile

SHIPPED = (
    "prometheus-rules.yaml",
    "grafana-dashboard.json",
    "marketplace-rules.yaml",
    "marketplace-dashboard.json",
)
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
        from parkade.service.logs import configure
    except ImportError as error:
        fail(f"{error.name} is missing: {install('server')}", exit_code=MARS_NO_EXTRA)
    from parkade.mars.drains import DrainError
    from parkade.mars.kept_file import KeptFileError

    configure("text")
    with _explaining_files():
        file = _file(config)
        policy = policy_from(file.policy)
    with _explaining_files(), _alone(file.journal):
        host, _, port = file.listen.rpartition(":")
        try:
            runner = MarsRunner(file, policy, sensors_of(file), now=lambda: time.time_ns() // 1_000)
            server, _ = start_http_server(int(port), host, registry=runner.metrics.registry)
        except (OSError, OverflowError, DrainError, KeptFileError) as error:
            fail(f"cannot start: {error}", exit_code=MARS_CANNOT)
        acts = "drains where it may" if file.act else "observes only"
        address = f"http://{host}:{server.server_port}/metrics"
        screen.say(f"{screen.count(len(file.nodes), 'node')}, {acts}, metrics at {address}")
        stopped = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        try:
            if rounds is None:
                runner.run(stopped)
            else:
                for _ in range(rounds):
                    runner.round()
        except KeyboardInterrupt:
            stopped.set()
        finally:
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

    What the nodes' logs hold until now counts as dealt with: it drains nothing again.
    """
    from parkade.cli import screen
    from parkade.mars.drains import DrainError, Drains
    from parkade.mars.kept_file import KeptFileError
    from parkade.mars.undoing import mark_read

    with explaining():
        file = _file(config)
    if file.drain is None or file.journal is None:
        fail("the file names no `drain` and `journal`", exit_code=3)
    failed = False
    with explaining(), _alone(file.journal):
        try:
            drains = Drains(file.drain, file.journal)
            names = node or [drained.node for drained in drains.own]
            mark_read(file, file.journal, frozenset(names), time.time_ns() // 1_000)
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
    from parkade.cli.files import named_in_faults, read_text
    from parkade.mars.run_file import default_run_file, read_run_file

    with named_in_faults(config):
        return default_run_file() if config is None else read_run_file(read_text(config))
