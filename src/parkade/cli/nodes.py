"""Nodes: their health, their cordons, and the work on them."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling
from parkade.cli.names import NodeName

if TYPE_CHECKING:
    from datetime import datetime

    from parkade.wire import pools as wire
    from parkade.wire.nodes import FabricReservation, NodeInFull

MOST_REASONS, MOST_NAMED = 20, 5
"""Of cordons in the list of nodes, and nodes that are named with one."""

nodes = typer.Typer(help="Nodes and their health.", no_args_is_help=True)
Reason = Annotated[str, typer.Option("--reason", "-r", help="Shown with the node.")]
MaybeReason = Annotated[
    str | None,
    typer.Option("--reason", "-r", help="Shown with the node; left out: drained by your name."),
]


@nodes.command("list")
def list_(
    market: Annotated[str | None, typer.Option(help="Only this market's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List nodes and the work on them."""
    call(lambda client: client.list_nodes(market=market), _table, as_json=as_json)


@nodes.command("show")
def show_(node: NodeName, as_json: AsJson = False) -> None:
    """Show a node: its state, who sits there, its fabric, and its incidents."""
    call(lambda client: client.get_node(node), in_full, as_json=as_json)


@nodes.command()
def fail(node: NodeName, reason: Reason, as_json: AsJson = False) -> None:
    """Take a broken node out of play; its workloads are healed."""
    call(lambda client: client.fail_node(node, reason=reason), _line, as_json=as_json)


@nodes.command()
def restore(node: NodeName, as_json: AsJson = False) -> None:
    """Put a repaired node back in play."""
    call(lambda client: client.restore_node(node), _line, as_json=as_json)


@nodes.command()
def cordon(node: NodeName, reason: Reason, as_json: AsJson = False) -> None:
    """Let no new work onto a node; what runs there stays."""
    call(lambda client: client.cordon_node(node, reason=reason), _line, as_json=as_json)


@nodes.command()
def uncordon(node: NodeName, as_json: AsJson = False) -> None:
    """Lift your cordon."""
    call(lambda client: client.uncordon_node(node), _line, as_json=as_json)


@nodes.command()
def drain(node: NodeName, reason: MaybeReason = None, as_json: AsJson = False) -> None:
    """Empty a node: its workloads get their notice and are moved."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        says = reason or f"drained by {client.whoami().user}"
        show(client.drain_node(node, reason=says), _line, as_json=as_json)


@nodes.command()
def undrain(node: NodeName, as_json: AsJson = False) -> None:
    """Let a draining node take work again."""
    call(lambda client: client.undrain_node(node), _line, as_json=as_json)


@nodes.command()
def remove(node: NodeName, as_json: AsJson = False) -> None:
    """Remove a drained node from its pool."""
    from parkade.cli.pools import overview

    call(lambda client: client.remove_node(node), overview, as_json=as_json)


def _line(node: "wire.Node") -> None:
    from parkade.cli.screen import say

    cordons = ", ".join(f"cordoned by {each.holder}: {each.reason}" for each in node.cordons)
    reason = f" ({node.health_reason})" if node.health_reason else ""
    drain = f"{node.drain}: {node.drain_reason}" if node.drain else None
    states = [f"{node.health}{reason}", drain, cordons, _window(node)]
    say(f"{node.node}: " + "; ".join(filter(None, states)))


def in_full(node: "NodeInFull") -> None:
    """A node in full."""
    from parkade.cli.screen import fields, table

    fields(_facts(node))
    if node.holders:
        table(
            ("SEATED", "NAME", "ORG", "USER", "PHASE", "HELD", "PROMISED"),
            [
                (it.holder, it.name, it.org, it.user, it.phase, it.gpus_held, it.gpus_promised)
                for it in node.holders
            ],
            empty="",
            right="HELD PROMISED",
            drops="PROMISED NAME USER",
        )
    if node.incidents:
        table(
            ("INCIDENT", "LEVEL", "SIGNAL", "OPENED", "OUTCOME"),
            [
                (it.incident, it.level, it.signal, _minute(it.opened), it.outcome or "open")
                for it in node.incidents
            ],
            empty="",
            drops="LEVEL",
        )


def _facts(node: "NodeInFull") -> list[tuple[str, object]]:
    """What is known of it, in the order in which people ask."""
    reason = f" ({node.health_reason})" if node.health_reason else ""
    free = max(0, node.gpus - node.gpus_held - node.gpus_promised)
    promised = f", {node.gpus_promised} promised" if node.gpus_promised else ""
    since = _minute(node.engine_silent_since)
    agent = f"agent {node.agent}" if since is None else f"{node.engine} silent since {since}"
    return [
        ("node", node.node),
        ("health", f"{node.health}{reason}"),
        ("drain", f"{node.drain}: {node.drain_reason}" if node.drain else None),
        *(
            ("cordoned", f"by {it.holder} since {_minute(it.at)}: {it.reason}")
            for it in node.cordons
        ),
        ("maintenance", _window(node)),
        ("GPUs", f"{node.gpus_held} of {node.gpus} held{promised}, {free} free"),
        ("guests", node.guests or None),
        ("instance type", node.instance_type),
        ("pool", f"{node.pool} ({node.engine}), {agent}"),
        ("last seen", _minute(node.last_seen) or "not since the server started"),
        ("market, fabric", f"{node.market}, {node.fabric} of {_nodes(node.fabric_nodes)}"),
        ("buffer", f"{_nodes(node.buffer)} of the fabric" if node.buffer else None),
        *(("reserved", _reserved(it)) for it in node.reservations),
        ("last org", node.last_org),
    ]


def _minute(instant: "datetime | None") -> str | None:
    from parkade.cli.screen import minute

    return minute(instant)


def _nodes(number: int) -> str:
    return f"{number} node{'s' if number != 1 else ''}"


def _reserved(each: "FabricReservation") -> str:
    kept = f", keeps {each.keep}" if each.keep else ""
    lent = "not lent" if each.floor is None else f"idle ones lent at {each.floor}{kept}"
    return f"{each.reservation} of {each.org}: {_nodes(each.nodes)}, {lent}"


def _window(node: "wire.Node") -> str | None:
    """Its maintenance window that has not begun; one that has is among its cordons."""
    from parkade.cli.screen import minute

    name = node.maintenance
    if name is None or any(cordon.holder == f"maintenance:{name}" for cordon in node.cordons):
        return None
    return f"{name} from {minute(node.maintenance_start)}"


def _table(answer: "wire.Nodes") -> None:
    from parkade.cli.screen import table

    table(
        ("NODE", "POOL", "MARKET", "FABRIC", "HELD", "PROMISED", "HEALTH", "CORDONED BY", "SEATED"),
        [
            (
                node.node,
                node.pool,
                node.market,
                node.fabric,
                f"{node.gpus_held}/{node.gpus}",
                node.gpus_promised or None,
                f"{node.drain}: {node.drain_reason}" if node.drain else node.health,
                ", ".join(filter(None, [*(it.holder for it in node.cordons), _window(node)])),
                " ".join(node.seated) or (f"{node.guests} guests" if node.guests else ""),
            )
            for node in answer.nodes
        ],
        empty="No nodes yet.",
        right="HELD PROMISED",
        drops="PROMISED FABRIC MARKET POOL",
    )
    _say_reasons(answer)


def _say_reasons(answer: "wire.Nodes") -> None:
    """Why nodes are cordoned, one line for all of the same reason."""
    from parkade.cli.screen import say

    found: dict[str, list[str]] = {}
    for node in answer.nodes:
        for each in node.cordons:
            found.setdefault(f"{each.holder}: {each.reason}", []).append(node.node)
    for reason, names in list(found.items())[:MOST_REASONS]:
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        say(f"{' '.join(names[:MOST_NAMED])}{more} cordoned by {reason}")
    if len(found) > MOST_REASONS:
        say(f"{len(found) - MOST_REASONS} more reasons: parkade node list --json")
