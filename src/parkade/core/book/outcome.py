"""What a batch came to: fills, prices, and the blocks that were left out."""

import msgspec


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nodes of an order that trade over a window: its own, or a part of it for a sell by slots."""

    order: str
    start: int
    end: int
    nodes: int


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of a batch: with the batch alone it can be checked in one pass.

    Nothing in it says how it was found.
    """

    fills: tuple[Fill, ...]
    """In the order of the batch; of one order by start. What trades nothing has none."""
    prices_micros: tuple[int, ...]
    """Of each boundary: a node over the window [c, d) costs the difference of those of d and c. The
    first is 0."""
    left_out: tuple[str, ...]
    """All-or-nothing buys that trade nothing and of which the prices take no notice, in the order
    of the batch: most are below their limits, as too few nodes can be had at them."""

    def price_of(self, start: int, end: int) -> int:
        """Micro-units for one node over a window."""
        return self.prices_micros[end] - self.prices_micros[start]
