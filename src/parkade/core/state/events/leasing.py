"""Events about reservations, lending and claims, but for their money (`money`)."""

from parkade.core.reservations.reservation import Claim, Lending, Reservation, ReservationState
from parkade.core.state.events.event import Event


class AboutLeasing(Event, frozen=True, kw_only=True):
    """All events about reservations, lending and claims."""


class Reserved(AboutLeasing, frozen=True, kw_only=True):
    """A reservation was sold."""

    reservation: Reservation


class ReservationChanged(AboutLeasing, frozen=True, kw_only=True):
    """It came into force, ended or lapsed; `end_us` where the end became known."""

    reservation: str
    state: ReservationState
    end_us: int | None


class LendingSet(AboutLeasing, frozen=True, kw_only=True):
    """The standing offer changed."""

    reservation: str
    lending: Lending | None


class Claimed(AboutLeasing, frozen=True, kw_only=True):
    """The owner wants nodes for itself: queued like a workload, seated by the next clearing."""

    claim: Claim


class ClaimSeated(AboutLeasing, frozen=True, kw_only=True):
    """Nodes of a claim are free and the owner's."""

    claim: str

    nodes: tuple[str, ...] | None = None
    """Those that it was promised in place of lost ones, or its job runs on; None: all that it was
    promised, for the first time."""

    runs_there: bool = False
    """Whether they were not promised, but the engine started its job there by itself."""


class Unclaimed(AboutLeasing, frozen=True, kw_only=True):
    """The claimed nodes are idle again; `reservation` is None in journals of version 1."""

    claim: str
    reservation: str | None = None


LeasingEvent = Reserved | ReservationChanged | LendingSet | Claimed | ClaimSeated | Unclaimed
"""About reservations, lending and claims."""
