"""One node in full, on the wire."""

from typing import Literal

from parkade.wire.model import Answer
from parkade.wire.pools import Node
from parkade.wire.scalars import Amount, Instant


class NodeHolder(Answer):
    """A workload or claim with seats on the node: how many of its GPUs it holds, and how many it is
    promised."""

    holder: str
    kind: Literal["workload", "claim"]
    name: str
    org: str
    user: str | None
    phase: str
    gpus_held: int
    gpus_promised: int


class NodeIncident(Answer):
    """An incident of the node; `outcome` null: it is open."""

    incident: str
    level: str
    signal: str
    action: str
    opened: Instant
    closed: Instant | None
    outcome: str | None


class FabricReservation(Answer):
    """Nodes of the fabric that are sold for now: which ones is the market's choice. `floor`: at
    which idle ones are lent, all but `keep` of the reservation; null: they are not."""

    reservation: str
    org: str
    nodes: int
    floor: Amount | None
    keep: int


class NodeInFull(Node):
    """A node, who sits there, and what is known of it. Of `holders` an org sees its own, operators
    all. `fabric_nodes`: of its fabric, of which `buffer` are kept out of sales for healing; with
    `reservations` and `incidents` for operators. `last_seen`: when its pool was last seen whole;
    null: not since the server started. `agent` and `engine_silent_since` as of the pool."""

    instance_type: str
    engine: str
    agent: Literal["heard", "refuses", "silent", "never heard"]
    engine_silent_since: Instant | None
    last_seen: Instant | None
    last_org: str | None = None
    holders: tuple[NodeHolder, ...]
    fabric_nodes: int
    buffer: int | None
    reservations: tuple[FabricReservation, ...]
    incidents: tuple[NodeIncident, ...]
