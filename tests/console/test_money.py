"""The page of money: a range, its transfers and their windows, one thing's, files of it."""

import csv
import html
import io
import re
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.api.town import Town
from tests.api.town import town as running
from tests.console.test_reserving import seen
from tests.console.visitor import Visitor, visitor


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running(tmp_path_factory.mktemp("money")) as found:
        found.pool(nodes=8, billing_period="1h")
        yield found


def holder(town: Town) -> tuple[Visitor, str, str]:
    """(an owner at the console, its token, its org) with a reservation that was charged."""
    org, token = town.org()
    town.done(town.post("/reservations", {"nodes": 1, "name": org}, token))
    return visitor(town.url, token), token, org


def file_of(person: Visitor, page: str, says: str) -> list[dict[str, str]]:
    """The rows of the file that a link of a page leads to."""
    found = re.search(rf'<a href="([^"]+)" download>{says}</a>', page)
    assert found, says
    response = person.get(html.unescape(found[1]))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/csv")
    assert "attachment" in response.headers["content-disposition"]
    assert "\r\n" in response.text
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


def test_a_line_has_its_window_and_the_files_have_the_same_range(town: Town) -> None:
    person, token, _ = holder(town)
    page = person.text("/money")
    stated = town.done(town.get("/statement", token))["transfers"]
    paid = next(each for each in stated if each["kind"] == "reservation")
    start, end = (paid[it].replace("T", " ")[:19] for it in ("start", "end"))
    assert start in page and (end in page or end[11:] in page)
    rows = file_of(person, page, "Statement as CSV")
    assert [row["amount"] for row in rows] == [each["amount"] for each in stated]
    costs = file_of(person, page, "Charges as FOCUS CSV")
    assert [Decimal(row["BilledCost"]) for row in costs] == [-Decimal(paid["amount"])]
    old = person.text("/money", **{"from": "2020-01-01", "to": "2020-02-01"})
    assert "Nothing moved" in old and "2020-01-01 00:00:00 to 2020-02-01 00:00:00 UTC" in old
    assert file_of(person, old, "Statement as CSV") == []


def test_a_line_leads_to_all_transfers_of_what_it_was_for(town: Town) -> None:
    person, _, org = holder(town)
    page = person.text("/money")
    found = re.search(rf'href="(/money[^"]*about={org})"', page)
    assert found
    told = seen(person.text(html.unescape(found[1])))
    assert f"Transfers for {org}: -8.00" in told and "deposit" not in told


def test_a_range_that_is_none_is_said_beside_it_and_stays(town: Town) -> None:
    person, _, _ = holder(town)
    for asked in ({"from": "soon"}, {"from": "2026-02-01", "to": "2026-01-01"}):
        told = person.get("/money", **asked)
        assert told.status_code == 422 and 'role="alert"' in told.text
        assert f'value="{asked["from"]}"' in told.text


def test_no_org_reads_or_exports_the_money_of_another(town: Town) -> None:
    _, _, org = holder(town)
    other, _, _ = holder(town)
    asked = {"start": "2026-01-01T00:00:00Z", "end": "2036-01-01T00:00:00Z"}
    for path, named in (
        ("/money", {"account": f"org/{org}"}),
        ("/money/statement.csv", {"account": f"org/{org}", **asked}),
        ("/money/costs.csv", {"org": org, **asked}),
        ("/money/statement.csv", {"account": "operator", **asked}),
    ):
        assert other.get(path, **named).status_code == 403, path
    assert org not in other.text("/money", about=org).replace(f'"{org}"', "").replace(
        f"Transfers for {org}", ""
    )
    member = visitor(town.url, town.user(org))
    for path in ("/money/statement.csv", "/money/costs.csv"):
        assert member.get(path, account=f"org/{org}", **asked).status_code == 403
    bad = other.get("/money/costs.csv", start="2026-01-01T00:00:00", end=asked["end"])
    assert bad.status_code == 422


def test_an_operator_follows_a_line_to_the_org_on_its_other_side(town: Town) -> None:
    _, _, org = holder(town)
    page = visitor(town.url, town.operator).text("/money", account="operator", span="month")
    assert "Statement as CSV" in page and "Charges as FOCUS CSV" in page
    page = visitor(town.url, town.operator).text("/money", account=f"org/{org}")
    assert "reservation" in page


def test_an_operator_chooses_any_account_and_all_of_them_sum_to_zero(town: Town) -> None:
    _, owner, org = holder(town)
    operator = visitor(town.url, town.operator)
    page = operator.text("/money")
    for account in (f"prepaid/{org}", "external", "clearing/lab", "operator", f"org/{org}"):
        assert re.search(rf"<option( selected)?>{account}</option>", page), account
        assert f"account={account.replace('/', '%2F')}&amp;" in page
    listed = town.done(town.get("/accounts"))
    assert sum(Decimal(it["balance"]) for it in listed["accounts"]) == 0
    assert listed["total"] == "0.00"
    held = {it["account"]: it["balance"] for it in listed["accounts"]}
    assert Decimal(held[f"prepaid/{org}"]) == 8 and Decimal(held["external"]) < 0
    assert "Sum 0.00 zero after every event" in seen(page)
    assert town.get("/accounts", owner).status_code == 403
    assert "All accounts" not in visitor(town.url, owner).text("/money")


def test_no_time_is_said_to_be_none(town: Town) -> None:
    person, _, _ = holder(town)
    told = person.get("/money", **{"from": "2026-01-31", "to": "2026-01-31"})
    assert "from has to be before to" in told.text
