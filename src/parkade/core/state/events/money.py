"""Events with transfers: what was charged, paid out, credited and moved by hand."""

from parkade.core.ledger.accounts import Transfer
from parkade.core.reservations.missing import MissingNode
from parkade.core.reservations.reservation import Lending, Reservation
from parkade.core.state.events.event import Event


class AboutMoney(Event, frozen=True, kw_only=True):
    """All events about money that moved."""


class MoneyMoved(AboutMoney, frozen=True, kw_only=True):
    """Transfers from or to the outside, and what the operator credits. `reason`: an operator's, for
    what it moved by hand; None for the rest, and in journals of before it was asked for."""

    transfers: tuple[Transfer, ...]
    reason: str | None = None


class UsePosted(AboutMoney, frozen=True, kw_only=True):
    """Use of an attempt up to `charged_until_us` was charged and paid out.

    `charged_numerator`: what is accrued below one micro-unit (micro-units per hour x
    microseconds); `billed_us`: the time that these transfers cover; `buffer_micros`: how much of it
    stands on lent nodes of buffers (0 in older journals); `attempt`, and
    `market` where nothing is owed, are None in journals of version 1; `owed`: what the market owes
    below one micro-unit, (account, numerator) after this.
    """

    market: str | None
    workload: str
    attempt: str | None
    transfers: tuple[Transfer, ...]
    charged_until_us: int
    charged_numerator: int
    billed_us: int
    owed: tuple[tuple[str, int], ...]
    buffer_micros: int = 0


class WithdrawalCharged(AboutMoney, frozen=True, kw_only=True):
    """A workload gave up a promise for which others had to leave, or whose seats were idle for its
    own org, or lowered the bid of an attempt for which others had to leave; `owed` as in
    `UsePosted`. `attempt` is None for a promise."""

    market: str
    workload: str
    transfers: tuple[Transfer, ...]
    owed: tuple[tuple[str, int], ...]
    attempt: str | None = None


class ReservationPaid(AboutMoney, frozen=True, kw_only=True):
    """A billing period was charged."""

    reservation: str
    paid_until_us: int
    transfers: tuple[Transfer, ...]


class ReservationSettled(AboutMoney, frozen=True, kw_only=True):
    """Money of a reservation moved that is no charge: credit for the time that GPUs of it were
    missing, what was delivered of what it paid ahead, what it earned and had to wait for.

    `short`: (claim or workload, GPUs that it is short of from now on; 0: of none any more), of
    those for which that changed or was credited up to now; `owed` as in `UsePosted`. `missing`: the
    nodes that the right lacked while it was short; older journals do not say.
    """

    market: str
    reservation: str
    transfers: tuple[Transfer, ...]
    short: tuple[tuple[str, int], ...] = ()
    owed: tuple[tuple[str, int], ...] = ()
    missing: tuple[MissingNode, ...] = ()


class ReservationDivided(AboutMoney, frozen=True, kw_only=True):
    """Nodes of a reservation became one of their own, `part`; what is left has `shape` and lends
    as `lending` says. `transfers`: what was paid ahead for the part."""

    market: str
    reservation: str
    shape: tuple[tuple[str, int], ...]
    lending: Lending | None
    part: Reservation
    transfers: tuple[Transfer, ...]


MoneyEvent = (
    MoneyMoved
    | UsePosted
    | WithdrawalCharged
    | ReservationPaid
    | ReservationSettled
    | ReservationDivided
)
"""Those with transfers."""
