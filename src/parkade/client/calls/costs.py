"""Calls about what was spent, and by whom."""

from datetime import datetime

from parkade.client.call import Call, get, get_list
from parkade.wire import costs, money


def get_showback(
    *,
    by: str = "user",
    label: str | None = None,
    org: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Call[costs.Showback]:
    """What each month cost by `user`, `org`, or the values of a `label`; without `start` of this
    month."""
    return get("/showback", costs.Showback, by=by, label=label, org=org, start=start, end=end)


def list_accounts() -> Call[money.Accounts]:
    """All accounts of the ledger with what each holds; they add up to zero. Operators only."""
    return get_list("/accounts", money.Accounts, "accounts")


def get_statement(
    *, account: str | None = None, start: datetime | None = None, end: datetime | None = None
) -> Call[money.Statement]:
    """An account's movements; the caller's org's where none is named."""
    return get("/statement", money.Statement, account=account, start=start, end=end)
