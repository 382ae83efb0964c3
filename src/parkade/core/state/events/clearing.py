"""The event of a clearing: the lines that it changed (`state.lines`)."""

from parkade.core.state.events.event import Event
from parkade.core.state.lines import (
    ClaimKept,
    Leaving,
    LinkedMarket,
    Repriced,
    Resized,
    Waiting,
    Won,
)


class Cleared(Event, frozen=True, kw_only=True):
    """One clearing: everything that changed, and nothing that did not."""

    market: str
    left: tuple[Leaving, ...]
    won: tuple[Won, ...]
    repriced: tuple[Repriced, ...]
    waiting: tuple[Waiting, ...]
    ladder: tuple[tuple[int, int | None], ...]

    claims: tuple[ClaimKept, ...] = ()
    """Claims that were handed over before and keep some of their nodes; in journals of before they
    did, such a claim is among `won` or `left`, with all its nodes."""

    linked: tuple[LinkedMarket, ...] = ()
    """The other markets that were cleared together with `market`, because bids name several of
    them, and in which something changed: the lines are those of all. None in journals of before
    there were such bids."""

    resized: tuple[Resized, ...] = ()
    """Live attempts of which single ranks leave, or that are promised no more seats than they have;
    none in journals of before there were such attempts."""

    is_apart: bool = False
    """Whether markets that bids link with `market` were left out, because they failed together."""

    @property
    def markets(self) -> tuple[str, ...]:
        """All in which something changed."""
        return (self.market, *(it.market for it in self.linked))
