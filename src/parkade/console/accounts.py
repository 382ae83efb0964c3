"""The accounts of the ledger by kind, so that what is shown of them adds up to zero.

Of each kind the fullest are listed, at most `MOST_OF_A_KIND`; its sum is of all.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from parkade.wire.money import Account

MOST_OF_A_KIND = 200

KINDS = (
    ("external", "The world outside", "deposits came from there; what it lacks, the others hold"),
    ("operator", "The house", "fees, and what is sold at its own price"),
    ("org", "Orgs", "what they may spend"),
    ("clearing", "Markets", "taken in, and not divided yet"),
    ("prepaid", "Reservations", "paid ahead, and not delivered yet"),
)
"""In this order; each with its name and what its accounts hold."""


class Group(NamedTuple):
    """All accounts of a kind: `listed` are the fullest, `left_out` says how many more there are."""

    says: str
    holds: str
    accounts: int
    total: Decimal
    listed: tuple[Account, ...]

    @property
    def left_out(self) -> int:
        """Accounts that are not listed."""
        return self.accounts - len(self.listed)


def groups(accounts: Iterable[Account]) -> list[Group]:
    """Those of each kind, if there are any."""
    by_kind: dict[str, list[Account]] = {kind: [] for kind, _, _ in KINDS}
    for each in accounts:
        by_kind[each.kind].append(each)
    return [_group(says, holds, by_kind[kind]) for kind, says, holds in KINDS if by_kind[kind]]


def _group(says: str, holds: str, found: list[Account]) -> Group:
    fullest = sorted(found, key=lambda it: (-abs(it.balance), it.account))[:MOST_OF_A_KIND]
    return Group(
        says=says,
        holds=holds,
        accounts=len(found),
        total=sum((it.balance for it in found), Decimal(0)),
        listed=tuple(fullest),
    )
