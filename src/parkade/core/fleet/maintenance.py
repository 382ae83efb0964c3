"""A maintenance window: nodes that are emptied for a time, and take work again after it."""

import msgspec

from parkade.core.fleet.node import Node
from parkade.core.units.time import Window

MAINTENANCE = "maintenance:"
"""Before the window's id in the holder of its cordons; no user can have such a name."""


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that are out of use over a window; its end is never open."""

    maintenance: str

    nodes: tuple[str, ...]
    """At least one."""

    window: Window

    reason: str
    """In words for a person."""

    known_us: int
    """When its time was last changed: it begins no sooner, so that every notice has its whole time.
    Of one that has begun: when it did."""

    has_begun: bool = False
    """Whether its nodes are being emptied, or are empty already."""

    lead_us: int | None = None
    """So long before its start its nodes are emptied: the longest notice + kill of their markets
    when its time was last set. A longer notice later would else make it grow over what was sold
    before it. None: that of the terms in force, in journals of before this was kept."""

    @property
    def end_us(self) -> int:
        """When its nodes take work again."""
        assert self.window.end_us is not None, "a window of maintenance has an end"
        return self.window.end_us

    @property
    def holder(self) -> str:
        """The holder of the cordons of its nodes."""
        return f"{MAINTENANCE}{self.maintenance}"


def is_window(holder: str) -> bool:
    """Whether the holder of a cordon is a window."""
    return holder.startswith(MAINTENANCE)


def is_maintained(node: Node) -> bool:
    """Whether the node is being emptied for a window, or is out of use in it."""
    return any(is_window(cordon.holder) for cordon in node.cordons)
