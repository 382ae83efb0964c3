"""Maintenance windows as shown, and their events."""

from typing import Any, Literal, assert_never

from parkade.api.translate.scalars import instant
from parkade.core.fleet.maintenance import Maintenance
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.capacity import begins_us
from parkade.core.units.phrases import some_of
from parkade.core.units.time import Window
from parkade.wire import maintenance as wire
from parkade.wire.scalars import format_instant


def maintenance(world: World, it: Maintenance, *, is_whole: bool) -> wire.Maintenance:
    """A window; `is_whole`: with the names of nodes and what is still there, for operators."""
    takes: dict[tuple[str, str], int] = {}
    holders: dict[str, None] = {}
    for name in it.nodes:
        node = world.records.nodes[name]
        takes[node.market, node.fabric] = takes.get((node.market, node.fabric), 0) + 1
        holders |= dict.fromkeys((*world.held_on[name], *world.promised_on[name]))
    return wire.Maintenance(
        maintenance=it.maintenance,
        state=_state(it, bool(holders)),
        takes=tuple(
            wire.Away(market=market, fabric=fabric, nodes=nodes)
            for (market, fabric), nodes in takes.items()
        ),
        empties=instant(begins_us(world, it)),
        start=instant(it.window.start_us),
        end=instant(it.end_us),
        nodes=it.nodes if is_whole else (),
        reason=it.reason if is_whole else "",
        waits_for=tuple(holders) if is_whole and it.has_begun else (),
    )


def _state(it: Maintenance, is_held: bool) -> Literal["scheduled", "draining", "drained"]:
    if not it.has_begun:
        return "scheduled"
    return "draining" if is_held else "drained"


def told(event: events.MaintenanceEvent) -> tuple[str, dict[str, Any]]:
    """One line for people, and what belongs to the event."""
    match event:
        case events.MaintenanceScheduled(maintenance=it):
            detail = {"nodes": list(it.nodes), **_window(it.window), "reason": it.reason}
            says = f"maintenance {it.maintenance} of {some_of(it.nodes)} from {detail['start']}"
            return f"{says} to {detail['end']}: {it.reason}", detail
        case events.MaintenanceChanged(maintenance=name, window=window):
            detail = _window(window)
            says = f"maintenance {name} is from {detail['start']} to {detail['end']} now"
            return says, detail
        case events.MaintenanceBegun(maintenance=name):
            return f"maintenance {name} begins: its nodes are being emptied", {}
        case events.MaintenanceEnded(maintenance=name, is_cancelled=is_cancelled):
            does = "was cancelled" if is_cancelled else "is over"
            return f"maintenance {name} {does}: its nodes take work again", {}
        case _:
            assert_never(event)


def _window(window: Window) -> dict[str, Any]:
    end_us = window.end_us
    return {
        "start": format_instant(instant(window.start_us)),
        "end": "open" if end_us is None else format_instant(instant(end_us)),
    }
