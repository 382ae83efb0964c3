"""What a market is opened with for a replay, whichever scenario asks for it."""

import msgspec

from parkade.core.fleet.market import MarketTerms


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """Terms, the owners' standing offer, and how guests behave."""

    terms: MarketTerms
    fabric_nodes: int
    """Nodes of a fabric at most."""

    floor_micros: int
    """What every owner receives at least, per GPU-hour."""

    keep_percent: int
    headroom_percent: int | None
    """Background guests fill the fleet but for so much of it; None: there are none."""

    starting_us: int
    """From a guest's order to its first process."""

    checkpoint_every_us: int
