"""Claims that ended, from the events of the journal, and where a page shows them."""

from datetime import timedelta

from parkade.api.translate.scalars import instant
from parkade.console.claims import KEPT, EndedClaims
from parkade.core.reservations.reservation import Claim
from parkade.core.state import events
from parkade.core.units.time import SECOND_US
from tests.api.town import Town
from tests.console.visitor import visitor


def claimed(name: str, at_s: int, nodes: int = 2) -> events.Claimed:
    claim = Claim(
        claim=name, reservation="r", org="acme", nodes=nodes, claimed_us=at_s * SECOND_US,
        seats=(), promised_us=None, seated_us=None, why="",
    )  # fmt: skip
    return events.Claimed(at_us=at_s * SECOND_US, claim=claim)


def unclaimed(name: str, at_s: int) -> events.Unclaimed:
    return events.Unclaimed(at_us=at_s * SECOND_US, claim=name, reservation="r")


def test_a_claim_is_told_once_it_ended_and_dropped_after_two_months() -> None:
    found = EndedClaims()
    for event in (claimed("c1", 10), unclaimed("c1", 70), claimed("c2", 20), unclaimed("c0", 80)):
        found.take(event)
    now = instant(100 * SECOND_US)
    (ended,) = found.of(["r"], now)
    assert (ended.claim, ended.nodes, ended.ended - ended.claimed) == (
        "c1",
        2,
        timedelta(minutes=1),
    )
    assert found.of(["other"], now) == []
    assert found.of(["r"], ended.ended + KEPT + timedelta(seconds=1)) == []


def test_of_many_the_newest_are_kept() -> None:
    found = EndedClaims(most=2)
    for number in range(4):
        found.take(claimed(f"c{number}", number))
        found.take(unclaimed(f"c{number}", 10 + number))
    assert [it.claim for it in found.of(["r"], instant(SECOND_US))] == ["c2", "c3"]


def test_the_calendar_shows_an_ended_claim_to_its_org_and_to_no_other(fresh: Town) -> None:
    fresh.pool()
    org, owner = fresh.org("9000")
    fresh.done(fresh.post("/reservations", {"nodes": 2, "name": org}, owner))
    made = fresh.done(fresh.post(f"/reservations/{org}/claims", {"nodes": 1}, owner))["claim"]
    fresh.done(fresh.post(f"/claims/{made}/unclaim", {}, owner))
    _, other = fresh.org()
    for token, is_told in ((owner, True), (fresh.operator, True), (other, False)):
        page = visitor(fresh.url, token).text("/reservations")
        assert ('class="past"' in page) is is_told
