"""How a fabric's buffer is used, as values."""

import msgspec


class BufferUse(msgspec.Struct, frozen=True, kw_only=True):
    """Whole nodes of one fabric. `held`: kept out of reservation sales. `down`: out of play.
    `lent`: of the `held - down` that wait, those that spot work sits on, were it to sit there
    first. `short`: more are down than are held. `spot`: all
    nodes with spot work."""

    market: str
    fabric: str
    nodes: int
    held: int
    down: int
    lent: int
    spot: int

    @property
    def short(self) -> int:
        """By how many nodes the buffer is too small now."""
        return max(0, self.down - self.held)
