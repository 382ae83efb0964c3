"""Commands about reservations, lending and claims."""

from parkade.core.state.commands.command import Command


class AboutLeasing(Command, frozen=True, kw_only=True):
    """All commands about reservations, lending and claims."""


class Reserve(AboutLeasing, frozen=True, kw_only=True):
    """`nodes` of a market for a window, at the price sheet's rate; `start_us` None is now."""

    org: str
    market: str | None
    name: str | None
    nodes: int
    start_us: int | None
    end_us: int | None


class EndReservation(AboutLeasing, frozen=True, kw_only=True):
    """An open-ended reservation ends with the period that is paid."""

    reservation: str


class ExtendReservation(AboutLeasing, frozen=True, kw_only=True):
    """A later end of a reservation, at its rate."""

    reservation: str
    end_us: int


class SplitReservation(AboutLeasing, frozen=True, kw_only=True):
    """Nodes of a reservation become one of their own, called `name`; `org`: another org's."""

    reservation: str
    nodes: int
    name: str | None = None
    org: str | None = None


class ShrinkReservation(AboutLeasing, frozen=True, kw_only=True):
    """Nodes of a reservation are given up."""

    reservation: str
    nodes: int


class Lend(AboutLeasing, frozen=True, kw_only=True):
    """The standing offer of a reservation; `floor_micros` None stops lending, `keep` None leaves it
    as it is."""

    reservation: str
    floor_micros: int | None
    keep: int | None


class MakeClaim(AboutLeasing, frozen=True, kw_only=True):
    """The owner keeps nodes of its reservation for whatever it does with them."""

    reservation: str
    nodes: int


class Unclaim(AboutLeasing, frozen=True, kw_only=True):
    """The claimed nodes are idle again."""

    claim: str


LeasingCommand = (
    Reserve
    | EndReservation
    | ExtendReservation
    | SplitReservation
    | ShrinkReservation
    | Lend
    | MakeClaim
    | Unclaim
)
"""About reservations, lending and claims."""
