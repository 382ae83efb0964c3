"""`parkade compound serve`: a network as one OpenAI-compatible model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from collections import Counter

    from parkade.compound.loading import Loaded
    from parkade.compound.run.budget import Account
    from parkade.compound.run.running import Settings


def serve(
    network: Annotated[Path, typer.Argument(help="YAML or Python; docs/compound.md has its form.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the journal; the same one goes on.", file_okay=False)
    ],
    model: Annotated[str, typer.Option(help="The name that clients ask for.")] = "parkade",
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65_535)] = 8400,
    key_env: Annotated[
        str | None, typer.Option(help="Name of the variable with the key that clients must send.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="Most money in all, like 5.00.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens in all.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Most calls in all.")] = None,
    width: Annotated[int, typer.Option(help="Most in flight for one question.", min=1)] = 16,
    patience: Annotated[
        float,
        typer.Option(help="Seconds a request waits for a model that answers nothing.", min=0),
    ] = 10.0,
    drain: Annotated[
        float, typer.Option(help="Seconds for answers in work when it is ended.", min=0)
    ] = 10.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="The line that says where it serves as JSON.")
    ] = False,
) -> None:
    """Serve a network as if it were one model, until it is interrupted (a second time: at once)."""
    import asyncio
    import os

    from parkade.cli.compound.budgets import budget_of
    from parkade.cli.compound.failing import failing
    from parkade.compound.loading import load
    from parkade.compound.network import NetworkError
    from parkade.compound.run.running import Settings
    from parkade.loops import fast_loop

    with failing(as_json=as_json):
        settings = Settings(
            budget=budget_of(budget, max_tokens, max_calls), width=width, patience_s=patience
        )
        key = None if key_env is None else os.environ.get(key_env)
        if key_env is not None and not key:
            raise NetworkError(f"the environment variable {key_env} with the key is not set")
        if key is None and host not in ("127.0.0.1", "::1", "localhost"):
            raise NetworkError("beyond this machine it needs a key: --key-env NAME")
        loaded = load(network)
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            at = _At(model, host, port, key, drain, as_json)
            runner.run(_serve(loaded, out, settings, at))


class _At(NamedTuple):
    """Where and how it is served."""

    model: str
    host: str
    port: int
    key: str | None
    drain_s: float
    as_json: bool

    def print_start(self, url: str) -> None:
        """The one line on stdout."""
        import msgspec

        if self.as_json:
            line = {"v": 1, "model": self.model, "url": url, "needs_key": self.key is not None}
            print(msgspec.json.encode(line).decode(), flush=True)
        else:
            print(f"Serving {self.model} at {url}", flush=True)


async def _serve(loaded: "Loaded", out: Path, settings: "Settings", at: _At) -> None:
    import asyncio
    import signal

    from parkade.cli.compound.progress import print_notice
    from parkade.compound.models.local_server import serving as serving_model
    from parkade.compound.serve.answering import Answering
    from parkade.compound.serve.probing import probe
    from parkade.compound.serve.server import NetworkServer, serving

    def tell_bill(before: str) -> None:
        print_notice(before + in_words(answering.account))

    stop = asyncio.Event()
    answering = Answering(loaded.network, loaded.names, out, settings, print_notice)
    server = NetworkServer(answering, at.model, at.key)

    def interrupt() -> None:
        if stop.is_set():
            server.hurry()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    async with (
        serving_model(loaded.server),
        serving(server, at.host, at.port, grace_s=at.drain_s) as url,
    ):
        for text in await probe(answering.bound):
            print_notice(text)
        if answering.account.spent.calls:
            tell_bill("so far ")
        at.print_start(url)
        interrupted = asyncio.ensure_future(stop.wait())
        await asyncio.wait((interrupted, answering.stopped), return_when=asyncio.FIRST_COMPLETED)
        interrupted.cancel()
        if answering.stopped.done():
            # It can answer nothing any more: better to end, and be started anew.
            answering.stopped.result()
    tell_bill(f"{requests_in_words(server.requests)}; in all ")


def in_words(account: "Account") -> str:
    """What a server has spent, and what is left of its budget."""
    from parkade.cli.compound.bill import bill_of, left_of

    left = left_of(account.budget, account.spent + account.doubtful)
    return bill_of(account.spent, account.doubtful) + ("" if left is None else f"; {left}")


def requests_in_words(requests: "Counter[int]") -> str:
    """How many a server answered, and with which status it did not."""
    from parkade.core.units.phrases import counted

    others = [
        f"{count:,} with {status}" for status, count in sorted(requests.items()) if status != 200
    ]
    total = counted(requests.total(), "request")
    return f"{total}, {', '.join(others)}" if others else total
