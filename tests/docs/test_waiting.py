"""The page on waiting has each reason, and the messages as they are made."""

import re

from parkade.api.views.shortages import shortage
from parkade.core.state import commands
from parkade.core.workloads.life import Phase, Why
from tests import builders
from tests.core.kernel.story import Parkade
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "waiting.md"
TEXT = " ".join(PAGE.read_text("utf-8").split())


def lab() -> Parkade:
    parkade = Parkade(fabrics={"a": 2, "b": 4}, buffer_nodes=0)
    parkade.reserve("acme", 3)
    parkade.org("lab", deposit=50)
    parkade.do(builders.create_user("ann", "lab"))
    return parkade


def refused(parkade: Parkade, *, nodes: int, hours: int) -> str:
    spec = parkade.spec(on_demand_hours=hours, nodes=nodes)
    command = commands.Submit(by="ann", org="lab", market=None, spec=spec, is_held=False)
    return parkade.refused(command).detail


def test_each_reason_to_wait_has_its_row_and_each_to_end_is_named() -> None:
    waits = {word for row in table(PAGE, "Reasons") for word in re.findall(r"`(\w+)`", row[0])}
    ended = TEXT.partition("What has ended has one of ")[2].partition(".")[0]
    ends = set(re.findall(r"`(\w+)`", ended))
    assert waits | ends == {it.value for it in Why}
    assert {it.value for it in Phase if it.is_ended} - {"expired"} <= ends


def test_the_refusals_are_those_of_the_page() -> None:
    parkade = lab()
    assert refused(parkade, nodes=3, hours=1) in TEXT
    assert refused(parkade, nodes=2, hours=3) in TEXT


def test_the_words_of_a_bid_without_money_are_those_of_the_page() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.org("lab", deposit=1)
    name = parkade.bid("lab", 36)
    parkade.clear()
    workload = parkade.workload(name)
    assert workload.why == Why.INSUFFICIENT_FUNDS
    words = shortage(parkade.world, workload, parkade.now_us)
    assert words is not None and words in TEXT
