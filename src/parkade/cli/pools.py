"""Pools: nodes of one supplier at one site."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, calling

if TYPE_CHECKING:
    from parkade.wire import pools as wire

pools = typer.Typer(help="Pools of nodes and their terms.", no_args_is_help=True)


@pools.command("create")
def create(
    file: Annotated[Path, typer.Option("-f", "--file", help="pool.yaml; - is stdin.")],
    as_json: AsJson = False,
) -> None:
    """Open a pool and its market from a file."""
    from parkade.cli.files import read
    from parkade.cli.screen import show
    from parkade.wire.pools import OpenPool

    with calling(as_json=as_json) as client:
        show(client.open_pool(read(file, OpenPool)), _one, as_json=as_json)


@pools.command("list")
def list_(as_json: AsJson = False) -> None:
    """List pools."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.list_pools(), overview, as_json=as_json)


@pools.command("show")
def show_(pool: str, as_json: AsJson = False) -> None:
    """Show a pool and its terms."""
    from parkade.cli.calling import fail
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        found = [each for each in client.list_pools().pools if each.pool == pool]
    if not found:
        fail(f"there is no pool {pool}", exit_code=4)
    show(found[0], _one, as_json=as_json)


def overview(answer: "wire.Pools") -> None:
    """Pools as a table."""
    from parkade.cli.screen import table

    table(
        ("POOL", "SITE", "INSTANCE TYPE", "FABRICS", "NODES", "IN PLAY", "NOTICE", "AGENT"),
        [
            (
                each.pool,
                each.site,
                each.instance_type.name,
                len(each.fabrics),
                each.nodes,
                each.nodes_in_play,
                each.terms.notice,
                "heard" if each.is_reachable else "silent",
            )
            for each in answer.pools
        ],
        empty="No pools yet; open one with `parkade pool create -f pool.yaml`.",
        right="FABRICS NODES NOTICE",
        drops="FABRICS NOTICE SITE",
    )


def _one(pool: "wire.Pool") -> None:
    from parkade.cli.screen import fields

    kind = pool.instance_type
    shape = f"{kind.gpus_per_node} × {kind.gpu_model}, {kind.memory_gib} GiB, {kind.cpus} CPUs"
    fields(
        [
            ("pool", pool.pool),
            ("market", pool.market),
            ("site", pool.site),
            ("instance type", f"{kind.name} ({shape})"),
            ("nodes", f"{pool.nodes_in_play} of {pool.nodes} in play"),
            *((f"fabric {name}", " ".join(nodes)) for name, nodes in pool.fabrics.items()),
            *(
                (name.replace("_", " "), value)
                for name, value in pool.terms.model_dump(mode="json").items()
            ),
        ]
    )
