"""`parkade compound submit`: a network over questions as a spot workload."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parkade.cli.calling import AsJson
from parkade.cli.flags import (
    Capacity,
    Env,
    EnvFile,
    InstanceType,
    Market,
    MaxDuration,
    MaxSpend,
    Org,
)

if TYPE_CHECKING:
    from parkade.compound.run.budget import Account, Budget
    from parkade.compound.shards.folder import SharedFolder

#: Part of what the notice leaves for questions that have begun; the rest is for writing.
DRAIN_PART = 0.5


def submit(
    network: Annotated[Path, typer.Argument(help="YAML or Python; docs/compound.md has its form.")],
    questions: Annotated[Path, typer.Argument(help="JSON lines, .gz or plain.")],
    out: Annotated[
        Path,
        typer.Option(help="Folder that all nodes share; the same one goes on.", file_okay=False),
    ],
    limit_price: Annotated[str | None, typer.Option(help="Most per GPU-hour, for spot.")] = None,
    nodes: Annotated[str, typer.Option(help="How many, or 1..16; each runs a worker.")] = "1",
    gpus: Annotated[int, typer.Option(help="Per node.")] = 1,
    budget: Annotated[str | None, typer.Option(help="Most money for calls, in all.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens in all.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Most calls in all.")] = None,
    width: Annotated[int, typer.Option(help="Most in flight for one question.", min=1)] = 16,
    shard_size: Annotated[
        int | None, typer.Option(help="Questions of a shard; default: 256 shards.", min=1)
    ] = None,
    lease: Annotated[
        float, typer.Option(help="Seconds without a sign of life until a shard is lost.", min=1.0)
    ] = 60.0,
    checkpoint_needs: Annotated[
        float, typer.Option(help="Seconds a worker may take to leave; at most the notice.")
    ] = 10.0,
    failures: Annotated[int, typer.Option(help="Failures of workers to retry.")] = 10,
    name: Annotated[str, typer.Option(help="Of the workload.")] = "compound",
    capacity: Capacity = "spot",
    instance_type: InstanceType = None,
    market: Market = None,
    max_spend: MaxSpend = None,
    max_duration: MaxDuration = None,
    org: Org = None,
    env: Env = None,
    env_file: EnvFile = None,
    as_json: AsJson = False,
) -> None:
    """Split the questions into shards, and submit one workload whose nodes work them off.

    Submit again with the same folder to change nodes, price or budget, to try
    failed questions again, or after a change of the network.
    """
    from parkade.cli.calling import calling
    from parkade.cli.compound.budgets import budget_of
    from parkade.cli.compound.failing import failing
    from parkade.cli.screen import show
    from parkade.cli.submit import pairs, print_submitted
    from parkade.client.errors import Failed, ParkadeError, TryAgain
    from parkade.compound.run.ownership import BATCH
    from parkade.compound.shards.folder import SharedFolder
    from parkade.compound.shards.labels import LABELS
    from parkade.wire.spec import WorkloadSpec
    from parkade.wire.yaml import check

    with failing(as_json=as_json):
        count = _count(nodes)
        whole = budget_of(budget, max_tokens, max_calls)
    words = ["worker", str(out.resolve()), "--width", str(width), "--lease", f"{lease:g}"]
    words += ["--drain", f"{checkpoint_needs * DRAIN_PART:g}"]
    asked: dict[str, Any] = {
        "name": name,
        "labels": LABELS,
        "command": shlex.join([sys.executable, "-m", "parkade.cli", "compound", *words]),
        "nodes": count,
        "gpus": gpus,
        # Workers talk through the folder only; an elastic number of nodes is of one fabric.
        "interconnect": "any" if isinstance(count, int) else "fabric",
        "capacity": capacity,
        "limit_price": limit_price,
        "max_spend": max_spend,
        "max_duration": max_duration,
        "instance_type": instance_type,
        "env": pairs(env, "--env"),
        "env_file": env_file,
        "checkpoint": {"signal": "SIGTERM", "needs": f"{int(checkpoint_needs * 1000)}ms"},
        "retry": {"failures": failures},
    }
    with calling(as_json=as_json) as client:
        given = {key: value for key, value in asked.items() if value is not None}
        spec = check(given, WorkloadSpec)
        with failing(as_json=as_json):
            is_new = not (out / BATCH).exists()
            prepare(out, network, questions, shard_size, whole)
        try:
            submitted = client.submit(spec, market=market, org=org)
        except ParkadeError as error:
            # An answer that did not arrive may have been a yes.
            if is_new and not isinstance(error, (TryAgain, Failed)):
                SharedFolder(out).discard()
            raise
        show(submitted, print_submitted, as_json=as_json)


def _count(nodes: str) -> int | dict[str, int]:
    """One number, or `1..16`: between how many nodes the batch runs."""
    from parkade.compound.network import NetworkError

    least, between, most = nodes.partition("..")
    found = [int(it) for it in (least, most) if it.isdigit()]
    if len(found) != (2 if between else 1) or found[0] < 1 or found[-1] < found[0]:
        raise NetworkError(f"--nodes {nodes}: write a number of nodes, like 4, or a range, 1..16")
    return {"min": found[0], "max": found[1]} if between else found[0]


def prepare(
    out: Path, network: Path, questions: Path, shard_size: int | None, budget: "Budget"
) -> None:
    """Everything that a worker reads is there, before there is a worker."""
    import os

    from parkade.compound.loading import load
    from parkade.compound.network.binding import bind
    from parkade.compound.network.digest import network_digest
    from parkade.compound.network.question_faults import check_questions
    from parkade.compound.questions import read_questions
    from parkade.compound.run.affording import check_affords
    from parkade.compound.run.ownership import FolderError
    from parkade.compound.run.reserving import check_bounds
    from parkade.compound.shards.board import Board
    from parkade.compound.shards.entries import VERSION, Submitted
    from parkade.compound.shards.folder import SharedFolder

    loaded = load(network)
    ready = bind(loaded.network, loaded.names)
    check_bounds(ready, budget)
    check_questions(ready, read_questions(questions))
    digest = network_digest(ready)
    folder = SharedFolder(out)
    if (left := _left(folder, digest, budget)) is not None:
        check_affords(ready, left, read_questions(questions))
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        batch = folder.make(network, questions, shard_size)
    except FolderError:
        if is_new:
            folder.discard()
        raise
    board = Board(folder.log, batch.shards, f"submit-{os.getpid()}")
    board.change(lambda _: Submitted(v=VERSION, network=digest, budget=budget))


def _left(folder: "SharedFolder", network: str, budget: "Budget") -> "Account | None":
    """What earlier workers left of the budget; None where calls may not be needed, or some that
    are set aside may come back."""
    from parkade.compound.run.affording import fresh
    from parkade.compound.run.budget import NOTHING, Account
    from parkade.compound.run.described import NoSuchRun
    from parkade.compound.shards.board import Board

    try:
        state = Board(folder.log, folder.read().shards, "submit").state
    except NoSuchRun:
        return fresh(budget)
    is_open = any(shard.failed or not shard.is_done for shard in state.shards)
    is_held = any(shard.holder for shard in state.shards)
    if network != state.network or is_held or not is_open:
        return None
    return Account(budget, state.committed, NOTHING)
