"""`parkade sim replay`: a real fleet under this marketplace, and beside it under others."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from parkade.cli.calling import explaining, fail, server_extra
from parkade.cli.exit_codes import SIM_INVALID

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from parkade.sim.replay.report.tables import TableOfFigures


def replay(
    scenario: Annotated[Path, typer.Argument(help="The scenario, a YAML file; - for stdin.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the data; default: the scenario's own."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report to this HTML file.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Replay a trace of a real fleet, and show what it would have earned, waited and cost."""
    with server_extra():
        import msgspec

        from parkade.cli.files import read_text
        from parkade.sim.replay.report.tables import tables_of
        from parkade.sim.replay.running import page_of, run_replay
        from parkade.sim.replay.scenario import parse_scenario
        from parkade.sim.replay.tables import BadData
    with explaining(as_json=as_json):
        asked = parse_scenario(read_text(scenario))
        folder = data if data is not None else scenario.parent
        bars = _Bars(is_shown=not as_json and sys.stderr.isatty())
        try:
            with bars:
                found = run_replay(asked, folder, begins=bars.begin, progress=bars.tell)
        except BadData as error:
            fail(str(error), exit_code=SIM_INVALID)
        if report is not None:
            write(report, page_of(found))
        if as_json:
            sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
            return
        for table in tables_of(found):
            show(table)
        if report is not None:
            print(f"\nthe report is in {report}")


def example(
    folder: Annotated[Path, typer.Argument(help="A new folder for the files.")],
) -> None:
    """Write a small trace, prices and two scenarios, all made up, for `parkade sim replay`."""
    with server_extra():
        from parkade.sim.replay.example import FILES
    try:
        folder.mkdir(parents=True, exist_ok=False)
    except FileExistsError:
        fail(f"{folder} is there already; give a new folder", exit_code=SIM_INVALID)
    except OSError as error:
        fail(f"{folder} cannot be made: {error.strerror}", exit_code=SIM_INVALID)
    for name, text in FILES.items():
        write(folder / name, text())
    print(f"wrote {', '.join(FILES)} to {folder}; now:")
    print(f"  parkade sim replay {folder}/idle-resale.yaml --report {folder}/report.html")


def write(file: Path, text: str) -> None:
    """A file of text; ends the program where it cannot be written."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", exit_code=SIM_INVALID)


def show(table: "TableOfFigures") -> None:
    """A table on the terminal."""
    from parkade.cli import screen

    screen.say("")
    screen.say(table.title)
    # A name of a column that is a number stands to the right.
    columns = [name.upper().replace(" ", "_") for name in table.columns]
    screen.table(columns, table.rows, empty="none", right=" ".join(columns[1:]))


class _Bars:
    """A progress bar for each run, on stderr; none where that is no terminal."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, runs: tuple[str, ...], minutes: int) -> None:
        """The data is read; these runs follow."""
        if not self._is_shown:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            Remaining(),
            console=Console(stderr=True),
            # What rich would put before them writes to `VisibleStream`, which shows its sequences.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks = {run: self._progress.add_task(run, total=minutes) for run in runs}
        self._progress.start()

    def tell(self, run: str, minutes: int) -> None:
        """So many minutes of a run are done."""
        if self._progress is not None:
            self._progress.update(self._tasks[run], completed=minutes)
