"""Nodes and their life: health is what is known of the machine, cordons are what people said."""

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
    """A node of a pool, sold in a market. `last_org` sat here last, until `vacated_us`;
    `draining_us`: since when it is being emptied for an operator, who then may remove it."""

    node: str
    pool: str
    market: str
    fabric: str
    gpus: int
    health: Health
    health_reason: str
    cordons: tuple[Cordon, ...]
    last_org: str | None
    vacated_us: int
    draining_us: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether newcomers may be seated here."""
        return self.health is Health.HEALTHY and not self.cordons and self.draining_us is None

    @property
    def is_in_play(self) -> bool:
        """Whether its GPUs count at all; the holders of a cordoned or suspect node stay."""
        return self.health is not Health.FAILED
