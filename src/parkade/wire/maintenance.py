"""Maintenance windows on the wire."""

from typing import Annotated, Literal

from pydantic import Field

from parkade.core.units import bounds
from parkade.wire.model import Answer, Paged, Request
from parkade.wire.pools import NodeName
from parkade.wire.scalars import Instant, Reasoning, When

NodeNames = Annotated[
    tuple[NodeName, ...], Field(min_length=bounds.NODES.least, max_length=bounds.NODES.most)
]


class ScheduleMaintenance(Request):
    """Nodes that are out of use from `start`, free by then, until `end`. `force`: also where
    owners are short of nodes for it."""

    nodes: NodeNames
    start: When = "now"
    end: When
    reason: Reasoning
    force: bool = False


class ChangeMaintenance(Request):
    """Another start or end of a window; null: as it is."""

    start: When | None = None
    end: When | None = None
    force: bool = False


class Away(Answer):
    """How many nodes of a fabric a window takes."""

    market: str
    fabric: str
    nodes: int


class Maintenance(Answer):
    """A window: its nodes are emptied from `empties` on, so that they are free at `start`.

    `draining`: seats there are still held or promised. Only operators see the names of the
    nodes, the reason, and in `waits_for` the workloads and claims that are still there.
    """

    maintenance: str
    state: Literal["scheduled", "draining", "drained"]
    takes: tuple[Away, ...]
    empties: Instant
    start: Instant
    end: Instant
    nodes: tuple[str, ...]
    reason: str
    waits_for: tuple[str, ...]


class Maintenances(Paged):
    """Those that are not over."""

    maintenance: tuple[Maintenance, ...]
