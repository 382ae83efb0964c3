"""Where a node stands: what it shares with others, and so what may fail for several at once."""

import enum

import msgspec


class ParentKind(enum.StrEnum):
    """What nodes share."""

    RACK = "rack"
    SWITCH = "switch"
    FABRIC = "fabric"
    DRIVER = "driver"


class Surroundings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a node of a pool shares with others of the pool, as its agent's owner wrote it; None
    where it is not known. Names are the pool's own: r1 of another pool is another rack."""

    node: str
    rack: str | None = None
    switch: str | None = None
    driver: str | None = None


class NodePlace(msgspec.Struct, frozen=True, kw_only=True):
    """A node's parents; None where it is not known."""

    node: str
    fabric: str
    rack: str | None
    switch: str | None
    driver: str | None

    @property
    def parents(self) -> tuple[tuple[ParentKind, str], ...]:
        """The known ones, the smallest group first."""
        named = (
            (ParentKind.RACK, self.rack),
            (ParentKind.SWITCH, self.switch),
            (ParentKind.FABRIC, self.fabric),
            (ParentKind.DRIVER, self.driver),
        )
        return tuple((kind, name) for kind, name in named if name is not None)
