"""Money is neither made nor lost, and no account but the world outside owes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.ledger.accounts import (
    EXTERNAL,
    OPERATOR,
    Ledger,
    Transfer,
    TransferKind,
    clearing_account,
    market_of,
    org_account,
    org_of,
)

NAMES = st.sampled_from((EXTERNAL, "org/acme", "org/lab", "operator"))


def transfer(debit: str, credit: str, micros: int) -> Transfer:
    return Transfer(kind=TransferKind.DEPOSIT, debit=debit, credit=credit, micros=micros)


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(min_value=-5, max_value=100))))
def test_balances_sum_to_zero_and_no_org_falls_below_it(moves: list[tuple[str, str, int]]) -> None:
    ledger = Ledger()
    for debit, credit, micros in moves:
        before = dict(ledger.balances)
        try:
            ledger.post(transfer(debit, credit, micros))
        except AssertionError:
            assert ledger.balances == before
        assert sum(ledger.balances.values()) == 0
        assert all(held >= 0 for name, held in ledger.balances.items() if name != EXTERNAL)


def test_an_org_cannot_pay_what_it_does_not_hold() -> None:
    ledger = Ledger()
    ledger.post(transfer(EXTERNAL, "org/lab", 5))
    with pytest.raises(AssertionError, match="org/lab"):
        ledger.post(transfer("org/lab", "operator", 6))


@pytest.mark.parametrize("name", ["lab", "east/h100", "clearing", "org/x"])
def test_an_account_tells_whose_it_is(name: str) -> None:
    assert (org_of(org_account(name)), market_of(org_account(name))) == (name, None)
    assert (org_of(clearing_account(name)), market_of(clearing_account(name))) == (None, name)


@pytest.mark.parametrize("account", [EXTERNAL, OPERATOR])
def test_the_outside_and_the_operator_are_no_org_and_no_market(account: str) -> None:
    assert (org_of(account), market_of(account)) == (None, None)
