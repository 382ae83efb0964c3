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
    assert "nothing of aurelia's" in seen(page)


def test_an_operator_lets_a_record_be_decided_again(stage: Stage) -> None:
    person = visitor(stage.town.url, stage.town.operator)
    sequence = re.findall(r'<tr id="clearing-(\d+)">', person.text("/market"))[0]
    place = f"/market/clearings/{sequence}"
    started = person.submit(f"{place}/verify", person.text(place))
    assert started.status_code == 303, started.text

    def answered() -> str | None:
        page = seen(person.text(place))
        assert "ended without an answer" not in page, page
        return page if "Verify it again" in page else None

    page = until(answered) or ""
    assert "It holds." in page and f"{int(sequence) - 1:,} entries before it are whole" in page
    owner = visitor(stage.town.url, stage.tokens["aurelia"])
    assert owner.submit(f"{place}/verify", owner.text("/workloads")).status_code == 403
    assert "Verify it" not in owner.text(place)
