"""What things cost and what was paid, on the wire."""

from parkade.wire.model import Answer, Paged
from parkade.wire.scalars import Amount, Instant


class Cost(Answer):
    """What an answer may cost: a price, for all of it by the hour, and the most it can come to.

    `price_per_gpu_hour` is the highest that can be charged; `at_most` null: not bounded, and
    `says` says so. Of what has ended it is what it cost.
    """

    price_per_gpu_hour: Amount
    gpus: int
    per_hour: Amount
    at_most: Amount | None
    says: str


class MissingNode(Answer):
    """A node that a right lacked: `since` when at the latest, and why."""

    node: str
    since: Instant
    health: str
    why: str
    incident: str | None


class Transfer(Answer):
    """One movement of money from the account's side: `amount` is negative where it paid.

    `price` is per GPU-hour over [start, end) where it was for use; of what lending earned, these
    and `gpus` are the guest's, and `price` is null where that changed. `missing`: for a credit, the
    nodes that were not there, at most 64; empty where the journal does not say.
    """

    sequence: int
    at: Instant
    kind: str
    amount: Amount
    other: str
    reservation: str | None
    workload: str | None
    attempt: str | None
    gpus: int
    price: Amount | None
    start: Instant | None
    end: Instant | None
    missing: tuple[MissingNode, ...] = ()


class Account(Answer):
    """An account and what it holds. `kind`: `external` is the world outside, `operator` the house;
    an `org` has what it may spend, `clearing` is what a market has taken in and not divided yet,
    `prepaid` what a reservation paid ahead that is not delivered yet."""

    account: str
    kind: str
    balance: Amount


class Accounts(Paged):
    """All accounts that there are, or that hold something; `total` is the sum of their balances,
    which is 0."""

    accounts: tuple[Account, ...]
    total: Amount


STATEMENT_COLUMNS = (
    *("sequence", "at", "kind", "amount", "other", "reservation", "workload", "attempt"),
    *("gpus", "price", "start", "end"),
)
"""Of a statement as CSV."""


class Statement(Answer):
    """An account's movements in a window, their sums, what it held before and after them
    (`opening`, `closing`), and what it holds now (`balance`). Of an org also what has accrued and
    is not posted yet: for use, which it will pay (`accrued`), and by lending, which it will receive
    (`accrued_by_lending`); null for other accounts, and for a window that is over."""

    account: str
    balance: Amount
    opening: Amount
    closing: Amount
    received: Amount
    paid: Amount
    accrued: Amount | None = None
    accrued_by_lending: Amount | None = None
    transfers: tuple[Transfer, ...]
