"""Nodes: their health, their cordons, and the work on them."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, calling

if TYPE_CHECKING:
    from parkade.wire import pools as wire

nodes = typer.Typer(help="Nodes and their health.", no_args_is_help=True)
Reason = Annotated[str, typer.Option("--reason", "-r", help="Shown with the node.")]


@nodes.command("list")
def list_(
    market: Annotated[str | None, typer.Option(help="Only this market's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List nodes and the work on them."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.nodes(market=market), _table, as_json=as_json)


@nodes.command()
def fail(node: str, reason: Reason, as_json: AsJson = False) -> None:
    """Take a broken node out of play; its workloads are healed."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.fail(node, reason=reason), _line, as_json=as_json)


@nodes.command()
def restore(node: str, as_json: AsJson = False) -> None:
    """Put a repaired node back in play."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.restore(node), _line, as_json=as_json)


@nodes.command()
def cordon(node: str, reason: Reason, as_json: AsJson = False) -> None:
    """Let no new work onto a node; what runs there stays."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.cordon(node, reason=reason), _line, as_json=as_json)


@nodes.command()
def uncordon(node: str, as_json: AsJson = False) -> None:
    """Lift your cordon."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        show(client.uncordon(node), _line, as_json=as_json)


def _line(node: "wire.Node") -> None:
    from parkade.cli.screen import say

    cordons = ", ".join(f"cordoned by {each.holder}: {each.reason}" for each in node.cordons)
    reason = f" ({node.health_reason})" if node.health_reason else ""
    say(f"{node.node}: {node.health}{reason}" + (f"; {cordons}" if cordons else ""))


def _table(answer: "wire.Nodes") -> None:
    from parkade.cli.screen import table

    table(
        ("NODE", "MARKET", "FABRIC", "HELD", "PROMISED", "HEALTH", "CORDONED BY", "SEATED"),
        [
            (
                node.node,
                node.market,
                node.fabric,
                f"{node.gpus_held}/{node.gpus}",
                node.gpus_promised or None,
                node.health,
                ", ".join(cordon.holder for cordon in node.cordons),
                " ".join(node.seated),
            )
            for node in answer.nodes
        ],
        empty="No nodes yet.",
        right="HELD PROMISED",
        drops="PROMISED FABRIC MARKET",
    )
