"""The page of a live workload shows its ranks: where each is, since when, and which leave."""

import re
from pathlib import Path

from parkade.console.words import reason
from tests import builders
from tests.api.town import town as running
from tests.console.visitor import visitor
from tests.waits import until


def rows(page: str) -> list[list[str]]:
    """The cells of the table of ranks; none where it is not shown."""
    found = re.search(r'<section id="ranks".*?</section>', page, re.DOTALL)
    if found is None:
        return []
    lines = re.findall(r"<tr id=.*?</tr>", found.group(), re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", line, re.DOTALL) for line in lines]


def test_the_page_shows_each_rank_and_until_when_those_that_are_outbid_leave(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as town:
        pool = town.pool(nodes=3)
        _, owner = town.org()
        _, rival = town.org()
        person = visitor(town.url, owner)
        size = {"nodes": {"min": 1, "max": 4}, "gpus": 2, "resize": "live"}
        assert town.observe(pool, capabilities=builders.capabilities(resizes_live=True)).is_success
        name = town.submit(pool, owner, **size)
        attempt = town.wait_for_attempt(pool, name)
        assert town.observe(pool, town.running(attempt)).is_success
        page = person.text(f"/workloads/{name}")
        assert 'id="rank" type="number" min="0" max="3"' in page, "any rank that it may have"
        assert not rows(page), "nothing changed yet: its ranks are those of its nodes"
        town.submit(pool, rival, limit_price="9", gpus=2)
        until(lambda: rows(person.text(f"/workloads/{name}")))
        shown = rows(person.text(f"/workloads/{name}"))
    assert [(it[0], it[1]) for it in shown] == [("0", "lab-1"), ("1", "lab-2"), ("2", "lab-3")]
    assert all(it[2].endswith(" UTC") for it in shown), shown
    assert [it[3] for it in shown[:2]] == ["–", "–"] and not shown[0][4]
    assert re.fullmatch(r"\d\d:\d\d:\d\d UTC", shown[2][3]), "until when it has to leave"
    assert shown[2][4] == reason("outbid")
