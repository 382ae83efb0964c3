"""Lists page by page: everything once, whatever comes and goes between two pages."""

from hypothesis import given
from hypothesis import strategies as st

from parkade.api.pages import WHOLE, Page, natural, page_of
from tests.api.town import Town

NAMES = st.lists(st.from_regex(r"\A[a-c]-?[0-9]{0,3}[a-c]?\Z"), unique=True, max_size=12)


@given(NAMES, NAMES, st.integers(1, 4), st.booleans())
def test_what_is_there_all_the_time_is_on_exactly_one_page(
    stays: list[str], leaves: list[str], limit: int, is_falling: bool
) -> None:
    seen: list[str] = []
    there, cursor = [*stays, *(it for it in leaves if it not in stays)], None
    while True:
        page, cursor = page_of(Page(limit, cursor), there, str, is_falling=is_falling)
        assert len(page) <= limit
        seen += page
        if cursor is None:
            break
        there = [it for it in there if it in stays]
    kept = [it for it in seen if it in stays]
    assert kept == sorted(stays, key=natural, reverse=is_falling)


def test_names_with_numbers_stand_in_the_order_of_people() -> None:
    names = ["node-10", "node-2", "b", "node-1", "a", "node-02"]
    shown = ["a", "b", "node-1", "node-02", "node-2", "node-10"]
    assert sorted(names, key=natural) == shown
    assert page_of(WHOLE, names, str) == (names, None)


def test_every_list_of_the_api_is_given_page_by_page(town: Town) -> None:
    pool = town.pool()
    org, owner = town.org()
    for _ in range(3):
        town.user(org)
        town.submit(pool, owner, limit_price="0.10")
    for path, field, name in (
        ("/users", "users", "user"),
        ("/tokens", "tokens", "token"),
        ("/orgs", "orgs", "org"),
        ("/nodes", "nodes", "node"),
        ("/accounts", "accounts", "account"),
        ("/workloads", "workloads", "workload"),
    ):
        whole = [it[name] for it in town.done(town.get(path))[field]]
        found: list[str] = []
        asked: dict[str, str] = {}
        while True:
            page = town.done(town.get(path, limit=1, **asked))
            found += [it[name] for it in page[field]]
            assert len(page[field]) <= 1
            if page["next"] is None:
                break
            asked = {"cursor": page["next"]}
        assert found == whole and len(whole) > 1, path


def test_pools_come_with_the_markets_that_they_supply(town: Town) -> None:
    pool = town.pool()
    page = town.done(town.get("/pools", limit=1))
    assert [it["pool"] for it in page["pools"]] == [pool]
    assert [it["market"] for it in page["markets"]] == [pool] and page["next"] is None


def test_the_name_of_a_cursor_of_before_still_goes_on(town: Town) -> None:
    pool = town.pool()
    _, owner = town.org()
    first, second = (town.submit(pool, owner, limit_price="0.10") for _ in range(2))
    page = town.done(town.get("/workloads", owner, limit=1))
    assert page["next"] == second
    for cursor in ({"after": second}, {"cursor": second}):
        rest = town.done(town.get("/workloads", owner, **cursor))
        assert [it["workload"] for it in rest["workloads"]] == [first]
    both = town.get("/workloads", owner, after=second, cursor=second)
    assert both.status_code == 422 and "cursor" in both.json()["detail"]
