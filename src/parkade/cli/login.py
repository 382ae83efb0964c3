"""`parkade login`, `logout` and `status`; the clock."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli import config
from parkade.cli.calling import AsJson, call, calling, explaining, fail, warn
from parkade.wire.servers import addresses

if TYPE_CHECKING:
    from parkade.wire import feed

LOOPBACK = re.compile(r"http://(127\.[0-9.]+|localhost|\[::1\])(:[0-9]+)?(/|$)")
clock = typer.Typer(help="Confirm a jump of the server's clock.", no_args_is_help=True)


def login(
    server: Annotated[
        str | None, typer.Argument(help="The server's address; with commas, its standby's too.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Read the token from this file; - is stdin.")
    ] = None,
    oidc: Annotated[
        bool, typer.Option("--oidc", help="Log in with your organization's account, in a browser.")
    ] = False,
) -> None:
    """Remember a server and a token.

    The token is read from a prompt, stdin or a file, never from the command line; or it is made
    for you once you have logged in at the provider of the server (--oidc)."""
    if oidc and token_file is not None:
        fail("--oidc makes a token; leave --token-file out", exit_code=2)
    try:
        address = ",".join(addresses(server or config.load().server))
    except ValueError as error:
        fail(str(error), exit_code=2)
    for each in addresses(address):
        if "://" not in each:
            fail(f"{each} is not an address; write it like https://parkade.example", exit_code=2)
        if each.startswith("http://") and not LOOPBACK.match(each):
            warn(f"{each} has no TLS: the token can be read on its way")
    token = _token_of_provider(address) if oidc else _read_token(token_file)
    if not token:
        fail("no token was given", exit_code=2)
    from parkade.cli.screen import say
    from parkade.client import Client

    with explaining(), Client(address, token=token) as client:
        caller = client.whoami()
    try:
        file = config.save(address, token)
    except OSError as error:
        fail(f"the token could not be kept: {error}", exit_code=1)
    say(f"Logged in to {address} as {caller.user} ({caller.role} of {caller.org}).")
    say(f"Kept in {file}, which only you can read.")


def _token_of_provider(address: str) -> str:
    """A token for the person who logs in at the provider, in a browser of any machine."""
    import time

    from parkade.cli.screen import say
    from parkade.client import Client
    from parkade.wire.scalars import format_span

    with explaining(), Client(address, token=None) as client:
        begun = client.begin_login()
        say(f"Open {begun.address} and enter the code {begun.code}")
        if begun.address_with_code is not None:
            say(f"or open {begun.address_with_code}")
        say(f"It is good for {format_span(begun.lasts)}; this command waits.")
        state = client.finish_login(begun.login)
        while state.new_token is None:
            pause = begun.ask_again if state.ask_again is None else state.ask_again
            time.sleep(pause.total_seconds())
            state = client.finish_login(begun.login)
        return state.new_token.secret


def logout() -> None:
    """Forget the token on this machine.

    It stays good elsewhere until it is revoked."""
    from parkade.cli.screen import say

    try:
        file = config.forget()
    except OSError as error:
        fail(
            f"the token is still in {config.path()}: {error.strerror}; remove that file, or run"
            " `parkade token revoke`",
            exit_code=1,
        )
    say("No token was kept." if file is None else f"{file} holds no token now.")
    if os.environ.get("PARKADE_TOKEN"):
        warn("PARKADE_TOKEN is set, and is used: unset it")


def _read_token(file: Path | None) -> str:
    try:
        if file is not None and str(file) != "-":
            return _token_in(file)
        if file is None and sys.stdin.isatty():
            from getpass import getpass

            return getpass("Token: ").strip()
        return sys.stdin.readline(1000).strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"the token could not be read: {error}", exit_code=2)


def _token_in(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        fail(
            f"--token-file {file} cannot be read: {why}; name the file that holds your token, or"
            " leave the option out and paste it",
            exit_code=2,
        )


def status(
    workload: Annotated[
        str | None, typer.Argument(help="As `parkade show`.", metavar="[WORKLOAD]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the server, the caller and what runs."""
    from parkade.cli.screen import fields

    if workload is not None:
        from parkade.cli.workloads import show_workload

        show_workload(workload, as_json=as_json)
        return
    with calling(as_json=as_json) as client:
        caller = client.whoami()
        if as_json:
            print(caller.model_dump_json(indent=2))
            return
        live = client.list_workloads(limit=1000).workloads
        orgs = {org.org: org for org in client.list_orgs().orgs}
        own = orgs.get(caller.org)
        running = sum(each.attempt is not None for each in live)
        fields(
            [
                ("server", f"{client.server} ({caller.server})"),
                ("you", f"{caller.user}, {caller.role} of {caller.org}"),
                ("balance", own and own.balance),
                ("house account", own and own.house),
                ("workloads", f"{running} on seats, {len(live) - running} waiting"),
                *_troubles(client.get_server()),
            ]
        )
    from parkade.cli.pools import overview

    with calling() as client:
        overview(client.list_pools())


def _troubles(standing: "feed.Standing") -> list[tuple[str, str]]:
    """What does not work on the server now."""
    from parkade.wire.scalars import format_span

    found = []
    if standing.clock_behind:
        behind = format_span(standing.clock_behind)
        found.append(("clock", f"{behind} behind; the server goes on at the steady clock's pace"))
    if standing.is_clock_doubted:
        found.append(("clock", "jumped ahead: nothing is cleared until `parkade clock confirm`"))
    if standing.refusing_pools:
        pools = ", ".join(standing.refusing_pools)
        found.append(
            ("agents", f"{pools}: nothing is started or stopped there (`parkade pool list`)")
        )
    if standing.frozen_markets:
        frozen = ", ".join(standing.frozen_markets)
        found.append(
            ("frozen", f"{frozen}: the last clearing failed (see the server's log); tried again")
        )
    return found


@clock.command()
def confirm(as_json: AsJson = False) -> None:
    """Confirm that the clock's jump was right; clearing goes on."""
    from parkade.cli.screen import say

    call(lambda client: client.confirm_clock(), lambda _: say("Confirmed."), as_json=as_json)
