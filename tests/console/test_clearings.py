"""A clearing's record in the console: which bid set each price, and to whom that is told."""

import re
from collections.abc import Iterator

import pytest

from tests.api.town import town as running
from tests.console.stage import Stage
from tests.console.test_reserving import seen
from tests.console.visitor import Visitor, visitor
from tests.waits import until


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("clearings")) as town:
        found = Stage(town)
        found.submit("aurelia", "rival", limit_price="3", nodes=8, gpus=2)
        yield found


def record(person: Visitor, says: str) -> str:
    """The record of the first clearing on the market's page that says so."""

    def find() -> str | None:
        rows = re.findall(r'<tr id="clearing-(\d+)">(.*?)</tr>', person.text("/market"))
        return next((number for number, row in rows if says in seen(row)), None)

    return seen(person.text(f"/market/clearings/{until(find)}"))


def test_an_operator_reads_which_bid_of_which_org_set_a_price(stage: Stage) -> None:
    person = visitor(stage.town.url, stage.town.operator)
    page = record(person, "set by")
    assert re.search(r"w\d+, aurelia's bid of 16 GPUs", page)


def test_the_payer_reads_its_size_alone(stage: Stage) -> None:
    person = visitor(stage.town.url, stage.tokens["bertram"])
    page = record(person, "set by another org's bid of 16 GPUs")
    assert "another org's bid of 16 GPUs" in page and "aurelia" not in page


def test_the_org_that_set_it_reads_of_no_payer(stage: Stage) -> None:
    person = visitor(stage.town.url, stage.tokens["aurelia"])
    page = person.text("/market")
    assert "bertram" not in page and stage.guest + " " not in seen(page)
    assert person.get("/market/clearings/1").status_code == 404
