"""The second opinion on maintenance windows finds what is wrong."""

from collections.abc import Callable, Iterable, Iterator

import pytest
from msgspec.structs import replace

from parkade.core.fleet.maintenance import MAINTENANCE
from parkade.core.state import commands, events
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.sim.auditor.maintenance import MaintenanceAuditor
from parkade.sim.findings import Breach
from tests.core.kernel.story import Parkade

Journal = Iterable[events.AnyEvent]


def journal() -> tuple[events.AnyEvent, ...]:
    """A window under work in a full fabric, with a reservation sold around it."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    for _ in range(3):
        parkade.bid("lab", 9)
    parkade.run(60)
    start_us = parkade.now_us + HOUR_US
    parkade.do(
        commands.ScheduleMaintenance(
            by=None,
            nodes=("a1",),
            start_us=start_us,
            end_us=start_us + HOUR_US,
            reason="firmware",
            is_forced=False,
        )
    )
    parkade.reserve("acme", 2, in_hours=1, hours=1)
    parkade.run(3 * 3600)
    return tuple(parkade.journal)


def audit(told: Journal) -> None:
    auditor = MaintenanceAuditor()
    for event in told:
        auditor.read(event)


JOURNAL = journal()


def without(kind: type[events.AnyEvent], at: int = 0) -> Iterator[events.AnyEvent]:
    """The journal without one event of a kind, counted from the window's begin."""
    has_begun, seen = False, 0
    for event in JOURNAL:
        has_begun = has_begun or isinstance(event, events.MaintenanceBegun)
        if has_begun and isinstance(event, kind):
            seen += 1
            if seen == at + 1:
                continue
        yield event


def later(kind: type[events.AnyEvent], by_us: int) -> Iterator[events.AnyEvent]:
    for event in JOURNAL:
        yield replace(event, at_us=event.at_us + by_us) if isinstance(event, kind) else event


def sold_whole() -> Iterator[events.AnyEvent]:
    for event in JOURNAL:
        if isinstance(event, events.Reserved):
            right = replace(event.reservation, shape=(("a", 3),))
            event = replace(event, reservation=right)
        yield event


def left_closed() -> Iterator[events.AnyEvent]:
    for event in JOURNAL:
        if isinstance(event, events.NodeUncordoned) and event.holder.startswith(MAINTENANCE):
            continue
        yield event


def never_over() -> Iterator[events.AnyEvent]:
    for event in left_closed():
        if not isinstance(event, events.MaintenanceEnded):
            yield event


def works_on() -> Iterator[events.AnyEvent]:
    """What stands there has no notice and does not leave."""
    has_begun = False
    for event in JOURNAL:
        has_begun = has_begun or isinstance(event, events.MaintenanceBegun)
        if not (has_begun and isinstance(event, events.StopOrdered | events.Ended)):
            yield event


def test_what_the_program_does_is_sound() -> None:
    audit(JOURNAL)
    kinds = {type(it) for it in JOURNAL}
    assert kinds >= {events.MaintenanceBegun, events.MaintenanceEnded, events.Reserved}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (works_on, "without a notice"),
        (lambda: without(events.NodeCordoned), "is open"),
        (lambda: later(events.MaintenanceBegun, SECOND_US), "began at"),
        (lambda: later(events.MaintenanceEnded, SECOND_US), "ended at"),
        (sold_whole, "are sold or away"),
        (left_closed, "closed"),
        (never_over, "stands after its end"),
    ],
    ids=["no notice", "no cordon", "late", "long", "sold", "left closed", "stands"],
)
def test_each_fault_is_found(wrong: Callable[[], Journal], says: str) -> None:
    with pytest.raises(Breach, match=says):
        audit(wrong())
