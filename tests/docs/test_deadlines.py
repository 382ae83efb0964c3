"""The page of deadlines: its numbers are computed here."""

from collections.abc import Callable

from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.steps.fallbacks import falls_back_us
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.deadline import DeadlineTerms
from tests.core.kernel.story import Parkade
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "deadlines.md"


def waits(parkade: Parkade, name: str) -> None:
    pass


def saved_after_nine_hours(parkade: Parkade, name: str) -> None:
    parkade.clear()
    parkade.start_all()
    for hour in range(1, 10):
        parkade.tick(3600)
        parkade.saved(name, step=hour)
    parkade.tick(3600)
    assert parkade.workload(name).fallback is not None, "it bids still"


def saves_on_its_notice(parkade: Parkade, name: str) -> None:
    saved_after_nine_hours(parkade, name)
    parkade.bid("rich", 50)
    parkade.clear()
    parkade.tick(20)
    parkade.ended(name, code=85)


STORIES: tuple[Callable[[Parkade, str], None], ...] = (
    waits,
    saved_after_nine_hours,
    saves_on_its_notice,
)


def seconds(text: str) -> float:
    hours, minutes, rest = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def test_it_becomes_on_demand_when_the_page_says() -> None:
    rows = table(PAGE, "When it becomes on-demand")
    assert len(rows) == len(STORIES)
    for row, story in zip(rows, STORIES, strict=True):
        parkade = Parkade(
            fabrics={"a": 1},
            buffer_nodes=0,
            public_floor_micros=MICROS,
            clearing_pause_us=SECOND_US // 2,
            turnaround_us=0,
        )
        parkade.org("lab")
        began_us = parkade.now_us
        deadline = DeadlineTerms(by_us=began_us + 52 * HOUR_US, duration_us=48 * HOUR_US)
        spec = replace(parkade.spec(limit=2), deadline=deadline)
        command = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
        made = parkade.do(command)
        name = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
        story(parkade, name)
        market = parkade.world.records.markets["pool"]
        at_us = falls_back_us(market, parkade.workload(name))
        assert (at_us - began_us) / SECOND_US == seconds(row[1])
