"""Pools: nodes of one supplier at one site."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling, fail
from parkade.cli.confirming import Yes, confirm
from parkade.cli.names import MarketName, PoolName

if TYPE_CHECKING:
    from parkade.wire import pools as wire
    from parkade.wire.people import NewToken

RELEASE = (
    "Should Parkade be dead and an owner in a hurry, this ends all guests of the pool after 120 s,"
    " and then Slurm starts whatever waits:"
)
RELEASE_BY = "scontrol update ReservationName=parkade_{pool} EndTime=now+120"

pools = typer.Typer(help="Pools of nodes and their terms.", no_args_is_help=True)


@pools.command("create")
def create(
    file: Annotated[Path, typer.Option("-f", "--file", help="pool.yaml; - is stdin.")],
    as_json: AsJson = False,
) -> None:
    """Open a pool and its market from a file."""
    from parkade.cli.files import read
    from parkade.wire.pools import OpenPool

    call(lambda client: client.create_pool(read(file, OpenPool)), show_one, as_json=as_json)


@pools.command("list")
def list_(as_json: AsJson = False) -> None:
    """List pools."""
    call(lambda client: client.list_pools(), overview, as_json=as_json)


@pools.command("show")
def show_(pool: PoolName, as_json: AsJson = False) -> None:
    """Show a pool, the markets it supplies, and their terms."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        answer = client.list_pools()
    found = [each for each in answer.pools if each.pool == pool]
    if not found:
        fail(f"there is no pool {pool}", exit_code=4)
    show(found[0], show_one, as_json=as_json)
    supplied = {each.market for each in found[0].supplies}
    if not as_json:
        for market in answer.markets:
            if market.market in supplied:
                _market(market)


@pools.command("add-nodes")
def add_nodes(
    pool: PoolName,
    file: Annotated[Path, typer.Option("-f", "--file", help="nodes.yaml; - is stdin.")],
    as_json: AsJson = False,
) -> None:
    """Add nodes to a pool, for its market or another of its site."""
    from parkade.cli.files import read
    from parkade.wire.pools import AddNodes

    call(lambda client: client.add_nodes(pool, read(file, AddNodes)), show_one, as_json=as_json)


@pools.command("drain")
def drain(
    pool: PoolName,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Shown beside each node.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Drain every node of a pool: workloads get their notice and are moved; this asks before."""
    from parkade.cli.screen import show
    from parkade.core.units.phrases import counted

    with calling(as_json=as_json) as client:
        client.get_pool(pool)
        nodes = [it for it in client.list_nodes().nodes if it.pool == pool and it.drain is None]
        if nodes:
            words = f"{counted(len(nodes), 'node')} of {pool} drained"
            confirm(f"{words}: what runs there gets its notice and is moved", yes=yes)
        for node in nodes:
            client.drain_node(node.node, reason=reason)
        show(client.list_pools(), overview, as_json=as_json)


@pools.command("close")
def close(pool: PoolName, as_json: AsJson = False) -> None:
    """Close a pool whose nodes are drained, and the markets that only it supplied."""
    call(lambda client: client.close_pool(pool), overview, as_json=as_json)


@pools.command("fence")
def fence(
    pool: PoolName,
    off: Annotated[bool, typer.Option("--off", help="Open the nodes to other jobs again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Close a pool's nodes to jobs that Parkade did not start, so that reservations can be sold."""
    from parkade.cli.screen import say, show

    with calling(as_json=as_json) as client:
        found = client.unfence_pool(pool) if off else client.fence_pool(pool)
        show(found, show_one, as_json=as_json)
    if not off and not as_json:
        say(RELEASE)
        say(RELEASE_BY.format(pool=pool))


@pools.command("lend")
def lend(
    pool: PoolName,
    observe: Annotated[
        bool, typer.Option("--observe", help="Stop: guests get their notice and leave.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let guests onto a pool's nodes, or, with --observe, onto none of them."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        client.observe_pool(pool) if observe else client.lend_pool(pool)
        show(client.list_pools(), overview, as_json=as_json)


@pools.command("terms")
def terms(
    market: MarketName,
    file: Annotated[Path, typer.Option("-f", "--file", help="terms.yaml; - is stdin.")],
    as_json: AsJson = False,
) -> None:
    """Change the terms of a market, now or from a date on; what the file leaves out stays."""
    from parkade.cli.files import read
    from parkade.wire.pools import ChangeTerms

    call(
        lambda client: client.change_market_terms(market, read(file, ChangeTerms)),
        _market,
        as_json=as_json,
    )


@pools.command("agent-token")
def agent_token(
    pool: PoolName,
    out: Annotated[
        Path | None, typer.Option(help="Write it here, readable by you alone; else it is printed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for the pool's agent, good for nothing else. It is shown once."""
    import sys

    from parkade.cli.files import write_secret
    from parkade.cli.people import until
    from parkade.cli.screen import show

    def once(made: "NewToken") -> None:
        print(
            f"{made.token} for the agent of {pool}{until(made)}; shown only now:", file=sys.stderr
        )
        print(made.secret)

    if out is not None and out.exists():
        fail(f"{out} is there already; remove it, or choose another name", exit_code=3)
    with calling(as_json=as_json) as client:
        made = client.create_agent_token(pool)
        if out is None:
            show(made, once, as_json=as_json)
            return
        write_secret(out, made.secret)
        print(f"{made.token} for the agent of {pool}{until(made)} is in {out}", file=sys.stderr)


def overview(answer: "wire.Pools") -> None:
    """Pools as a table."""
    from parkade.cli.screen import minute, say, table

    table(
        ("POOL", "SITE", "ENGINE", "SUPPLIER", "MARKETS", "NODES", "IN PLAY", "DRAINING", "AGENT"),
        [
            (
                each.pool,
                each.site,
                each.engine,
                each.supplier or "operator",
                ", ".join(supply.market for supply in each.supplies),
                each.nodes,
                each.nodes_in_play,
                _draining(each),
                agent_state(each),
            )
            for each in answer.pools
        ],
        empty="No pools yet; open one with `parkade pool create -f pool.yaml`.",
        right="NODES DRAINING",
        drops="SITE SUPPLIER ENGINE",
    )
    for each in answer.pools:
        if each.engine_silent_since is not None:
            words = each.agent_says or f"{_engine(each)} does not answer the agent"
            say(f"{each.pool}: {words} (since {minute(each.engine_silent_since)}).")
        elif each.agent_says is not None:
            verb = "refuses orders" if each.agent == "refuses" else "says"
            say(f"The agent of {each.pool} {verb}: {each.agent_says}.")


ENGINES = {"slurm": "Slurm"}
"""Names of engines that are others' programs."""


def agent_state(pool: "wire.Pool") -> str:
    """In a word or two; an agent whose engine does not answer is not to blame for its silence."""
    if pool.agent == "never heard":
        return "not heard yet"
    if pool.engine_silent_since is None or pool.agent == "refuses":
        return pool.agent
    return f"{_engine(pool)} silent"


def _engine(pool: "wire.Pool") -> str:
    return ENGINES.get(pool.engine, pool.engine)


def _draining(pool: "wire.Pool") -> str | None:
    if not pool.nodes_draining:
        return None
    return f"{pool.nodes_draining} ({pool.nodes_drained} drained)"


def show_one(pool: "wire.Pool") -> None:
    """A pool in full."""
    from parkade.cli.screen import fields

    fields(
        [
            ("pool", pool.pool),
            ("site", pool.site),
            ("engine", pool.engine),
            ("supplier", pool.supplier or "operator"),
            ("agent", _agent_in_full(pool)),
            ("", pool.agent_says),
            ("fence", None if pool.fence == "unneeded" else pool.fence),
            ("nodes", f"{pool.nodes_in_play} of {pool.nodes} in play"),
            *(
                (f"{supply.market}, fabric {name}", " ".join(nodes))
                for supply in pool.supplies
                for name, nodes in supply.fabrics.items()
            ),
        ]
    )


def _agent_in_full(pool: "wire.Pool") -> str:
    from parkade.cli.screen import minute

    if agent_state(pool) == pool.agent:
        return pool.agent
    return f"{_engine(pool)} does not answer it (since {minute(pool.engine_silent_since)})"


def _market(market: "wire.Market") -> None:
    from parkade.cli.screen import fields

    kind = market.instance_type
    shape = f"{kind.gpus_per_node} × {kind.gpu_model}, {kind.memory_gib} GiB, {kind.cpus} CPUs"
    announced = market.announced.model_dump(mode="json") if market.announced else {}
    present = market.terms.model_dump(mode="json")
    changed = {name: value for name, value in announced.items() if value != present[name]}
    fields(
        [
            ("market", market.market),
            ("site", market.site),
            ("instance type", f"{kind.name} ({shape})"),
            *((name.replace("_", " "), _flat(value)) for name, value in present.items()),
            *(
                (f"{name.replace('_', ' ')} from {market.announced_from}", _flat(value))
                for name, value in changed.items()
            ),
        ]
    )


def _flat(value: object) -> object:
    """A term in one line; one that is not set is shown too."""
    if value is None:
        return "none"
    if not isinstance(value, dict):
        return value
    return ", ".join(f"{name} {part}" for name, part in value.items())
