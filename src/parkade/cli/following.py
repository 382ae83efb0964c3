"""A workload's output and its end: `logs`, `wait`, and what `run` does after it has submitted.

Exit codes of `wait`, `run` and `logs -f`: that of the program where it failed; 0 where it
succeeded, 143 where it was cancelled (as if by TERM), 152 where its time or money was used up (as
if by XCPU), 124 where `--timeout` is over.
"""

import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from parkade.cli.calling import AsJson, calling, fail, warn
from parkade.cli.choosing import Id, chosen, meant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parkade.client import Client
    from parkade.wire import workloads as wire

NEXT_ATTEMPT_S = 0.5
FAILED, TIMED_OUT, CANCELLED, EXPIRED = 1, 124, 143, 152
MOST_CODE = 255
HELP_ON_EXIT = (
    "Exit code: the program's own; 143 cancelled, 152 out of time or money, 130 interrupted,"
    " 2 to 7 refused (docs/command-line.md)."
)


def logs(
    workload: Id,
    rank: Annotated[int, typer.Option(help="Number of the rank.", min=0)] = 0,
    attempt: Annotated[
        int | None, typer.Option(help="Number of the attempt; default: the last.", min=1)
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("-f", "--follow", help="From its start, through all attempts, to its end."),
    ] = False,
    tail: Annotated[int | None, typer.Option(help="Only the last lines.", min=0)] = None,
    offset: Annotated[int, typer.Option(help="Skip so many bytes.", min=0)] = 0,
    since: Annotated[
        str | None,
        typer.Option(help="Only what came since: 10m, 2026-01-31T10:00 (UTC), yesterday."),
    ] = None,
) -> None:
    """Print the output of a workload's present or last attempt."""
    since_at = None if since is None else _since(since)
    with calling() as client:
        name = meant(client, workload)
        named = None if attempt is None else f"{name}.{attempt}"
        if since_at is not None and (client.get_workload(name).attempts or not follow):
            place = client.get_log_offset(name, since=since_at, rank=rank, attempt=named)
            offset = max(offset, place.offset)
        if tail is not None and (client.get_workload(name).attempts or not follow):
            written = client.logs(name, rank=rank, offset=offset, attempt=named)
            offset += _print_tail(written, tail)
        if named is None and follow:
            ended(follow_output(client, name, rank=rank, offset=offset))
        if follow or tail is None:
            _copy(client.logs(name, rank=rank, offset=offset, follow=follow, attempt=named))


def _since(text: str) -> datetime:
    """An instant as a person writes it."""
    from parkade.wire.scalars import parse_since

    try:
        return parse_since(text, now=datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


def wait(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORKLOAD...", help="Ids, names, or patterns: also those that ended."
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", help="All that have KEY or KEY=VALUE, also those that ended."),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(help="Give up after so long, like 2h; the exit code is 124.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until workloads have ended; ends with the exit code of the first that failed."""
    from datetime import timedelta

    from parkade.cli.screen import say, show
    from parkade.wire.scalars import parse_span

    try:
        left = None if timeout is None else parse_span(timeout)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from None
    with calling(as_json=as_json) as client:
        begun, codes = time.monotonic(), []
        for name in chosen(client, workloads, labels, ended=True):
            spent = timedelta(seconds=time.monotonic() - begun)
            try:
                answer = client.wait(name, within=None if left is None else left - spent)
            except TimeoutError:
                fail(f"{name} has not ended after {timeout}", exit_code=TIMED_OUT)
            show(answer, lambda found: say(_says_end(found)), as_json=as_json)
            codes.append(exit_code(answer))
        raise typer.Exit(next(filter(None, codes), 0))


def exit_code(answer: "wire.Workload") -> int:
    """With what a shell should go on after it; see the module."""
    match answer.phase:
        case "succeeded":
            return 0
        case "cancelled":
            return CANCELLED
        case "expired":
            return EXPIRED
        case _:
            code = answer.exit_code or FAILED
            return code if code <= MOST_CODE else FAILED


def ended(answer: "wire.Workload", *, as_json: bool = False) -> NoReturn:
    """Says on stderr how it ended, and ends this program likewise."""
    if as_json:
        print(answer.model_dump_json(indent=2), file=sys.stderr)
    else:
        warn(_says_end(answer))
    raise typer.Exit(exit_code(answer))


def follow_output(
    client: "Client", workload: str, *, rank: int = 0, offset: int = 0
) -> "wire.Workload":
    """Prints what a workload prints, from its present attempt on, and answers it once it has ended.
    A short attempt is not missed: they are counted. A server that is gone is waited for."""
    from parkade.client.errors import TryAgain
    from parkade.client.waiting import Outage

    place, outage = _Place(offset), Outage()
    while True:
        try:
            answer = client.get_workload(workload)
            outage.answered()
            _print_new(client, answer, place, rank)
        except TryAgain as error:
            if outage.is_over:
                warn(f"the server does not answer; {workload} goes on without it, and so do we")
            try:
                time.sleep(outage.pause_s(error))
            except TryAgain:
                warn(f"{workload} goes on; later: parkade logs -f {workload}")
                raise
            continue
        if answer.ended is not None:
            return answer
        time.sleep(NEXT_ATTEMPT_S)


class _Place:
    """How far the output was printed: all of the attempts up to `printed`, and so many bytes of the
    next one."""

    def __init__(self, offset: int) -> None:
        self.printed: int | None = None
        self.offset = offset


def _print_new(client: "Client", answer: "wire.Workload", place: _Place, rank: int) -> None:
    if place.printed is None:
        place.printed = max(0, answer.attempts - 1)
    is_starting = answer.attempt is not None and answer.attempt.started is None
    for number in range(place.printed + 1, answer.attempts + 1 - is_starting):
        name = f"{answer.workload}.{number}"
        if number > 1 and place.offset == 0:
            print(f"-- {name} --", file=sys.stderr)
        for chunk in _output_if_any(client, answer.workload, name, place.offset, rank):
            _write(chunk)
            place.offset += len(chunk)
        place.printed, place.offset = number, 0


def _output_if_any(
    client: "Client", workload: str, attempt: str, offset: int, rank: int
) -> "Iterator[bytes]":
    """An attempt that could not be launched has no output."""
    from parkade.client.errors import NotFound

    try:
        yield from client.logs(workload, rank=rank, offset=offset, follow=True, attempt=attempt)
    except NotFound:
        return


def _copy(chunks: "Iterator[bytes]") -> None:
    for chunk in chunks:
        _write(chunk)


def _write(chunk: bytes) -> None:
    """At once, so that what follows a workload's output sees it as it comes."""
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _print_tail(chunks: "Iterator[bytes]", lines: int) -> int:
    """Prints the last lines of an output; answers its length in bytes. All of it is read, and as
    many lines are kept."""
    length, kept, rest = 0, deque[bytes](maxlen=lines), b""
    for chunk in chunks:
        length += len(chunk)
        *whole, rest = (rest + chunk).splitlines(keepends=True) or [b""]
        kept.extend(whole)
        if rest.endswith(b"\n"):
            kept.append(rest)
            rest = b""
    if rest:
        kept.append(rest)
    _copy(iter(kept))
    return length


def _says_end(answer: "wire.Workload") -> str:
    """Why, where that says more than the phase, and how its ranks exited."""
    why = "" if answer.why == answer.phase else answer.why.replace("_", " ")
    how = "; ".join(filter(None, (why, answer.exit)))
    return f"{answer.workload} {answer.name}: {answer.phase}{': ' if how else ''}{how}"
