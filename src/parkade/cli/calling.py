"""One call of a command: makes the client, and turns each error into an exit code."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from parkade.cli import config

if TYPE_CHECKING:
    from pydantic import BaseModel

    from parkade.client import Client
    from parkade.wire.problems import Problem

Answer = TypeVar("Answer", bound="BaseModel")
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the API's JSON.", rich_help_panel="Output")
]


@contextmanager
def calling(*, as_json: bool = False) -> Iterator["Client"]:
    """A client of the configured server; refusals end the program with their exit code."""
    try:
        settings = config.load()
    except ValueError as error:
        fail(str(error), exit_code=2)
    if settings.warning and not as_json:
        warn(settings.warning)
    if settings.token is None:
        fail("no token; run `parkade login`, or set PARKADE_TOKEN", exit_code=2)
    from parkade.client import Client

    with explaining(as_json=as_json), Client(settings.server, token=settings.token) as client:
        yield client


def call(
    function: Callable[["Client"], Answer], render: Callable[[Answer], None], *, as_json: bool
) -> None:
    """Makes one call and prints its answer, rendered for people or as the API's JSON."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(function(client), render, as_json=as_json)


@contextmanager
def explaining(*, as_json: bool = False) -> Iterator[None]:
    """Turns what the client and the parsers raise into words and an exit code."""
    import httpx

    from parkade.client.errors import ParkadeError
    from parkade.wire.yaml import Unreadable

    try:
        yield
    except ParkadeError as error:
        refuse(error.problem, as_json=as_json)
    except Unreadable as error:
        refuse(error.problem, as_json=as_json, source=error.source)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # The reader closed the pipe; what is still to be written must not fail at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except httpx.InvalidURL as error:
        fail(f"the server's address cannot be read: {error}", exit_code=2)


@contextmanager
def server_extra() -> Iterator[None]:
    """Around the imports that need the extra `server`: says how it is installed where it is not."""
    try:
        yield
    except ModuleNotFoundError as error:
        from parkade.extras import install

        fail(f"{error.name} is missing: {install('server')}", exit_code=1)


def refuse(problem: "Problem", *, as_json: bool, source: str | None = None) -> NoReturn:
    """Prints a problem to stderr, all its errors, and ends with its exit code. `source`: the file
    that it is about."""
    from parkade.wire.problems import CODES, UNKNOWN

    if as_json:
        print(problem.model_dump_json(indent=2), file=sys.stderr)
    elif problem.code == "changed":
        warn("it was changed while you looked, and nothing is done: look at it, and run this again")
    elif problem.errors:
        about = "" if source is None else f"{source}: "
        print(f"parkade: {about}{problem.title.lower()}", file=sys.stderr)
        for fault in problem.errors:
            print(f"  {fault.place}: {fault.message}", file=sys.stderr)
    else:
        print(f"parkade: {problem.detail}", file=sys.stderr)
    raise typer.Exit(CODES.get(problem.code, UNKNOWN).exit)


def warn(text: str) -> None:
    """A sentence on stderr."""
    print(f"parkade: {text}", file=sys.stderr)


def fail(text: str, *, exit_code: int) -> NoReturn:
    """Ends with a sentence on stderr."""
    warn(text)
    raise typer.Exit(exit_code)
