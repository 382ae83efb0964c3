"""Nodes and their life: health is what is known of the machine, cordons are what people set."""

import enum

import msgspec


class Health(enum.StrEnum):
    """What is known of a node."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    FAILED = "failed"


class Cordon(msgspec.Struct, frozen=True, kw_only=True):
    """No new work here, says `holder`; only the holder lifts it, a person's always wins."""

    holder: str
    reason: str
    at_us: int


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a pool, sold in a market."""

    node: str
    """Its host name."""

    pool: str
    market: str
    fabric: str
    gpus: int
    health: Health

    health_reason: str
    """Why it is not healthy, in words for a person; empty where it is."""

    cordons: tuple[Cordon, ...]
    """At most one of each holder."""

    last_org: str | None
    """The org that sat here last; None: none has."""

    vacated_us: int
    """When it was last seen free; turnaround counts from here. 0: never held."""

    draining_us: int | None = None
    drain_reason: str | None = None
    """Since when an operator empties it; once it is empty it may be removed. None: in use."""

    @property
    def is_open(self) -> bool:
        """Whether newcomers may be seated here."""
        return self.health is Health.HEALTHY and not self.cordons and self.draining_us is None

    @property
    def is_in_play(self) -> bool:
        """Whether its GPUs count at all; the holders of a cordoned or suspect node stay."""
        return self.health is not Health.FAILED
