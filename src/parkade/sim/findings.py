"""What a run found that must never be, each with the number of the invariant it breaks."""

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One breach. `invariant`: its number in docs/simulation.md; 0: the program stopped itself."""

    invariant: int
    says: str
    sequence: int
    """The journal's end when it was found."""

    at_s: float
    """Seconds from the beginning of the run."""


class Breach(AssertionError):
    """An invariant is broken; raised by what looks, kept by the judge."""

    def __init__(self, invariant: int, says: str) -> None:
        super().__init__(says)
        self.invariant = invariant
        self.says = says


def require(is_so: bool, invariant: int, says: str) -> None:
    """Raises Breach where it is not so. Build long words lazily: this is called for every event."""
    if not is_so:
        raise Breach(invariant, says)
