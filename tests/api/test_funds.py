"""What an org is told of its money: what is missing, and for how long what is there would do."""

from decimal import Decimal

from tests.api.town import Town
from tests.waits import until


def test_a_bid_that_waits_for_money_is_told_how_much_is_missing(town: Town) -> None:
    pool = town.pool()
    _, owner = town.org(money="1")
    workload = town.submit(pool, owner, nodes=1, gpus=2, limit_price="9000")

    def why() -> dict[str, str]:
        found: dict[str, str] = town.get(f"/workloads/{workload}/why", owner).json()
        return found

    until(lambda: why()["why"] == "insufficient_funds")
    said = why()["says"]
    words = said.split()
    needed, there, missing = (
        Decimal(words[words.index(word) + offset].rstrip(":;"))
        for word, offset in (("needs", 1), ("commit", 1), ("are", -1))
    )
    assert there == 1 and needed - there == missing > 0, said
    assert "what is there pays its limit for 0s" in said


def test_a_statement_whose_range_ends_before_it_begins_is_refused(town: Town) -> None:
    _, owner = town.org()
    window = {"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}
    refused = town.get("/statement", owner, **window)
    assert refused.status_code == 422 and "before the end" in refused.json()["detail"]
