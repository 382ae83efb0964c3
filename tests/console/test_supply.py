"""A partner at the console: its nodes and its statement, told without who its guests are."""

from tests import builders
from tests.api.test_partners import supplied
from tests.api.town import Town
from tests.console.visitor import visitor


def test_a_partners_pages_are_its_nodes_and_its_statement(fresh: Town) -> None:
    org, partner, owner = supplied(fresh)
    _, guest = fresh.org()
    workload = fresh.submit("far", guest, name="a-guests-own")
    attempt = fresh.wait_for_attempt("far", workload)
    fresh.observe("far", builders.observed(attempt))
    person = visitor(fresh.url, partner)
    first = person.get("/")
    assert (first.status_code, first.headers["location"]) == (303, "/supply")
    page = person.text("/supply")
    assert "far-1" in page and "far-2" in page and "lab-1" not in page
    assert f"Nodes of {org}" in page and 'href="/money"' in page
    for told in (workload, "a-guests-own", 'href="/workloads"', 'href="/events"'):
        assert told not in page, "who the guests are is not told"
    assert f"org/{org}" in person.text("/money")
    assert 'href="/supply"' in visitor(fresh.url, owner).text("/reservations")


def test_what_is_not_a_partners_is_refused_by_a_page(fresh: Town) -> None:
    _, partner, _ = supplied(fresh)
    person = visitor(fresh.url, partner)
    for path in ("/workloads", "/market", "/reservations", "/events", "/operate", "/live"):
        refused = person.get(path)
        assert refused.status_code == 403, path
        assert refused.headers["content-type"].startswith("text/html"), path
        assert "a partner sees its nodes and its statement" in refused.text
    page = person.text("/supply")
    assert person.submit("/logout", page).status_code == 303


def test_an_org_that_supplies_nothing_is_told_so(fresh: Town) -> None:
    org, owner = fresh.org()
    for token in (owner, fresh.user(org, "partner")):
        assert f"{org} supplies no node yet" in visitor(fresh.url, token).text("/supply")
    assert 'href="/supply"' not in visitor(fresh.url, owner).text("/reservations")
    assert visitor(fresh.url, fresh.user(org)).get("/supply").status_code == 403
    assert visitor(fresh.url, fresh.operator).get("/supply").headers["location"] == "/operate"
