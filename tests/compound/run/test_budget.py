"""A budget is never exceeded, whatever the order in which calls start and end."""

from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.run.budget import NOTHING, Account, Amounts, Budget

CALLS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 100), st.sampled_from(["settle", "doubt", "free"]))
)


@given(limit=st.integers(0, 300), calls=CALLS, data=st.data())
def test_money_is_never_exceeded_whatever_the_order(
    limit: int, calls: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    account = Account(Budget(micros=limit), NOTHING, NOTHING)
    flying: list[tuple[Amounts, int, str]] = []
    for most, share, end in calls:
        worst = Amounts(most, most, 1)
        if account.reserve(worst):
            flying.append((worst, most * share // 100, end))
        ending = data.draw(st.integers(0, len(flying)))
        for _ in range(ending):
            worst, cost, ends = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            match ends:
                case "settle":
                    account.settle(worst, Amounts(cost, cost, 1))
                case "doubt":
                    account.doubt(worst, worst)
                case _:
                    account.release(worst)
        assert (account.spent + account.doubtful + account.reserved).micros <= limit
    assert account.overrun == NOTHING


def test_each_of_money_tokens_and_calls_is_a_limit() -> None:
    for budget in (Budget(micros=10), Budget(tokens=10), Budget(calls=10)):
        account = Account(budget, Amounts(5, 5, 5), Amounts(2, 2, 2))
        assert account.reserve(Amounts(3, 3, 3))
        assert not account.reserve(Amounts(1, 1, 1))


def test_what_a_server_bills_beyond_what_was_asked_is_its_overrun() -> None:
    account = Account(Budget(micros=100, tokens=100), NOTHING, NOTHING)
    assert account.reserve(Amounts(60, 60, 1))
    account.settle(Amounts(60, 60, 1), Amounts(90, 70, 1))
    assert account.overrun == Amounts(30, 10, 0)
    assert account.spent.micros == 90
    assert not account.reserve(Amounts(11, 0, 1))


def test_a_call_that_can_never_fit_is_told_from_one_that_must_wait() -> None:
    account = Account(Budget(micros=100), NOTHING, NOTHING)
    assert account.reserve(Amounts(60, 0, 1))
    assert account.can_ever(Amounts(100, 0, 1))
    assert not account.can_ever(Amounts(101, 0, 1))
