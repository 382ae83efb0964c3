"""`parkade compound worker`: one worker of a submitted run; what each node of the workload runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from parkade.compound.shards.holding import Terms
    from parkade.compound.shards.worker import Ending

_SAYS = {
    "done": "all shards are done",
    "left": "left on notice; another worker goes on",
    "starved": "the budget is spent, and questions are left; submit again with a larger one",
}


def worker(
    out: Annotated[Path, typer.Argument(help="Folder of a submitted run, on shared storage.")],
    lease: Annotated[
        float, typer.Option(help="Seconds without a sign of life until a shard is lost.", min=1.0)
    ] = 60.0,
    drain: Annotated[
        float, typer.Option(help="Seconds on notice for questions that have begun.", min=0.0)
    ] = 5.0,
    width: Annotated[int, typer.Option(help="Most in flight for one question.", min=1)] = 16,
) -> None:
    """Take shards and answer them; ends with 0 when all is done, with 85 when work is left.

    With 78 once the same cause stopped workers again and again, or where the network is not
    the submitted one, so that no other is tried.
    """
    import asyncio

    from parkade.cli.compound.failing import fail, failing
    from parkade.cli.exit_codes import FOR_GOOD, SAVED
    from parkade.compound.run.failures import FAILURES
    from parkade.compound.shards.holding import Terms
    from parkade.compound.shards.worker import Ending, GivenUp, OtherNetwork
    from parkade.loops import fast_loop

    terms = Terms(lease_s=lease, drain_s=drain, width=width)
    with failing(as_json=False), asyncio.Runner(loop_factory=fast_loop()) as runner:
        try:
            ending, failed = runner.run(_work(out, terms))
        except GivenUp as error:
            says = f"{error}\ngiven up: it stopped workers before; correct it, and submit again"
            fail("given_up", says, FOR_GOOD, as_json=False)
        except OtherNetwork as error:
            fail("other_network", str(error), FOR_GOOD, as_json=False)
    says = _SAYS[ending.value]
    if failed:
        says += f"; {failed:,} questions failed: {out / FAILURES} says why, submit to try again"
    print(says, flush=True)
    if ending is Ending.LEFT:
        raise SystemExit(SAVED)


def _say(text: str) -> None:
    print(text, flush=True)


async def _work(out: Path, terms: "Terms") -> "tuple[Ending, int]":
    """How it ended, and how many questions of finished shards failed."""
    import os

    from parkade.compound.loading import load
    from parkade.compound.shards.board import Board
    from parkade.compound.shards.folder import SharedFolder
    from parkade.compound.shards.notice import Notice
    from parkade.compound.shards.worker import identify, work

    # From here on a signal is a notice, also while files are read and a server starts.
    notice = Notice(os.environ, terms.drain_s)
    try:
        folder = SharedFolder(out)
        loaded = load(Path(folder.read().network))
        me = identify(os.environ)
        ending = await work(folder, loaded, me, notice, terms, say=_say)
    finally:
        await notice.close()
    board = Board(folder.log, folder.read().shards, "report")
    return ending, sum(shard.failed for shard in board.state.shards)
