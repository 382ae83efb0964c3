"""Double entry in whole micro-units: every transfer takes from one account and gives to another.

`external` stands for the world outside and is the only account that may be negative; the sum of
all balances is zero after every event. Besides it and `operator`, each org has `org/NAME`, each
market `clearing/NAME`, and each reservation `prepaid/NAME`, which holds what it paid ahead until
that is delivered. `lending/ORG/NAME` is no account but what a reservation earns in a market's
books: it is paid to its org. Only this module makes or parses these names.
"""

import enum

import msgspec

EXTERNAL = "external"
OPERATOR = "operator"


def org_account(org: str) -> str:
    """The account of an org."""
    return f"org/{org}"


def clearing_account(market: str) -> str:
    """Where a market's charges wait until they are split."""
    assert market
    return f"clearing/{market}"


def prepaid_account(reservation: str) -> str:
    """Where what a reservation paid ahead waits until it is delivered."""
    assert reservation
    return f"prepaid/{reservation}"


def lending_account(org: str, reservation: str) -> str:
    """What a reservation earns by lending, as a market owes it."""
    assert org and reservation
    return f"lending/{org}/{reservation}"


def lending_of(account: str) -> tuple[str, str] | None:
    """(org, reservation) of what a reservation earns; None where it is another account."""
    kind, _, names = account.partition("/")
    org, _, reservation = names.partition("/")
    return (org, reservation) if kind == "lending" else None


def org_of(account: str) -> str | None:
    """The org whose account it is, None where it is no org's."""
    kind, _, name = account.partition("/")
    return name if kind == "org" else None


def market_of(account: str) -> str | None:
    """The market whose charges wait there, None where it is no market's account."""
    kind, _, name = account.partition("/")
    return name if kind == "clearing" else None


def kind_of(account: str) -> str:
    """What kind of account it is: `external`, `operator`, `org`, `clearing` or `prepaid`."""
    return account.partition("/")[0]


class TransferKind(enum.StrEnum):
    """What a transfer was for."""

    DEPOSIT = "deposit"
    RESERVATION = "reservation"
    DELIVERED = "delivered"
    USAGE = "usage"
    MINIMUM_CHARGE = "minimum_charge"
    LATE_START = "late_start"
    PAYOUT = "payout"
    FEE = "fee"
    CREDIT = "credit"
    GRANT = "grant"
    DISBURSEMENT = "disbursement"
    REFUND = "refund"
    DIVIDED = "divided"

    @property
    def is_paid_by_user(self) -> bool:
        """Whether it counts against `max_spend` and the user's cap: what a workload costs."""
        return self in (
            TransferKind.USAGE,
            TransferKind.MINIMUM_CHARGE,
            TransferKind.LATE_START,
        )


class Use(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`gpus` GPUs at `price_micros` per GPU-hour over [start_us, end_us)."""

    gpus: int
    price_micros: int
    start_us: int
    end_us: int


class Transfer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One movement of money and everything that explains it."""

    kind: TransferKind

    debit: str
    """The account that pays."""

    credit: str
    """The account that receives."""

    micros: int
    """More than 0."""

    reservation: str | None = None
    """Where it was for one."""

    workload: str | None = None
    """Where it was for one."""

    attempt: str | None = None
    """None where it was for a promise that was given up."""

    use: Use | None = None
    """The time that it pays for; None where it pays for none."""


class Ledger:
    """Balances by account. Mutable, changed by `evolve` alone."""

    def __init__(self, balances: dict[str, int] | None = None) -> None:
        self.balances: dict[str, int] = {} if balances is None else balances

    def balance(self, account: str) -> int:
        """Micro-units; an account that never moved has none."""
        return self.balances.get(account, 0)

    def post(self, transfer: Transfer) -> None:
        """Moves the money; asserts that no account but the world outside falls below zero."""
        assert transfer.micros > 0 and transfer.debit != transfer.credit
        left = self.balance(transfer.debit) - transfer.micros
        assert transfer.debit == EXTERNAL or left >= 0, f"{transfer.debit} would hold {left}"
        self.balances[transfer.debit] = left
        self.balances[transfer.credit] = self.balance(transfer.credit) + transfer.micros
