"""A book whose room is that of a marketplace's calendar."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.core.reservations.reservation import Reservation
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.units.time import HOUR_US
from parkade.service.journal_place import journal_path
from parkade.sim.book.calendar import Calendar, NoCalendar, calendar_of, world_of
from parkade.sim.book.reading import read_book
from parkade.store.sqlite import open_sqlite
from parkade.wire.scalars import format_instant
from parkade.wire.yaml import Unreadable
from tests.core.kernel.story import Parkade
from tests.sim.test_book import book, order
from tests.sim.whatif.journals import data_folder, disk_with


def parkade() -> tuple[Parkade, Reservation]:
    """Six nodes of two GPUs and a buffer of one; two are reserved in two hours, for three."""
    made = Parkade(fabrics={"a": 6}, reservation_rate_micros=4 * MICROS)
    name = made.reserve("acme", 2, in_hours=2, hours=3)
    return made, made.world.records.reservations[name]


def at(made: Parkade, hours: int) -> str:
    """So many whole hours after the hour that the world is in."""
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=made.now_us // HOUR_US)
    return format_instant(start + timedelta(hours=hours))


def hours_of(made: Parkade, first: int, last: int) -> tuple[int, ...]:
    start = made.now_us // HOUR_US
    return tuple(range(start + first, start + last + 1))


def test_the_room_of_an_hour_is_what_could_be_reserved_in_it() -> None:
    made, acme = parkade()
    found = calendar_of(made.world, None, None)
    assert (found.fabric, found.gpus_per_node) == ("a", 2)
    room = found.room(hours_of(made, 0, 8))
    assert room[0] == (0, 0), "the hour has begun"
    assert acme.window.start_us % HOUR_US, "the window begins inside of hour 2, and ends in hour 5"
    assert [sold for _, sold in room[2:]] == [2, 2, 2, 2, 0, 0]
    assert {nodes for nodes, _ in room[1:]} == {5}


def test_a_reservation_for_what_is_left_is_sold_and_for_one_node_more_is_refused() -> None:
    made, _ = parkade()
    nodes, sold = calendar_of(made.world, None, None).room(hours_of(made, 4, 5))[0]
    assert (nodes, sold) == (5, 2)
    made.reserve("lab", nodes - sold, in_hours=3, hours=2)
    start_us = made.now_us + 3 * HOUR_US
    one_more = commands.Reserve(
        by=None,
        org="lab",
        market=None,
        name=None,
        nodes=1,
        start_us=start_us,
        end_us=start_us + HOUR_US,
    )
    assert made.refused(one_more).reason is Reason.NO_CAPACITY


def test_orders_are_filled_from_the_calendar_at_the_price_sheet() -> None:
    made, _ = parkade()
    text = book(order(nodes=5, limit="4.00", start=at(made, 2), end=at(made, 8)), gpus_per_node=2)
    _, batch = read_book(text, calendar_of(made.world, "pool", "a"))
    assert {step.price_micros for step in batch.asks} == {8 * MICROS}
    assert [step.nodes for step in batch.asks] == [3, 3, 3, 3, 5, 5] and batch.bids == ()


@pytest.mark.parametrize(
    ("market", "fabric", "words"),
    [
        ("other", None, "there is no market 'other'; there are: pool"),
        (None, "c", "there is no fabric 'c'; there are: a, b"),
        (None, None, "name one with --fabric: a, b"),
    ],
)
def test_what_is_not_there_is_named(market: str | None, fabric: str | None, words: str) -> None:
    with pytest.raises(NoCalendar, match=words):
        calendar_of(Parkade().world, market, fabric)


def test_a_book_that_does_not_fit_the_market_is_refused() -> None:
    made, _ = parkade()
    calendar: Calendar = calendar_of(made.world, None, None)
    with pytest.raises(Unreadable) as refused:
        read_book(book(order()), calendar)
    assert refused.value.problem.errors[0].message == "nodes of market pool have 2 GPUs"
    room = {"nodes": 1, "start": at(made, 2), "end": at(made, 3)}
    operator = {"curve": [{"up_to": "1", "price": "1"}], "room": [room]}
    with pytest.raises(Unreadable) as refused:
        read_book(book(order(), gpus_per_node=2, operator=operator), calendar)
    assert "the room is the calendar's" in refused.value.problem.errors[0].message


def test_the_command_reads_a_journal_and_changes_nothing(tmp_path: Path) -> None:
    made, _ = parkade()
    folder = tmp_path / "data"
    folder.mkdir()
    data_folder(folder, disk_with(made.journal))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    text = book(
        order(name="few", nodes=3, limit="4.00", start=at(made, 2), end=at(made, 6)),
        order(name="many", org="ant", nodes=4, start=at(made, 2), end=at(made, 4), limit="5.00",
              whole=True),
        gpus_per_node=2,
    )  # fmt: skip
    words = ["sim", "book", "-", "--calendar", "--data-folder", str(folder)]
    result = CliRunner().invoke(app, words, input=text, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "many: its limit is above the price" in result.output and "with 3 nodes" in result.output
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_journals_place_goes_with_the_calendar_alone(tmp_path: Path) -> None:
    words = ["sim", "book", "-", "--data-folder", str(tmp_path)]
    result = CliRunner().invoke(app, words, input=book(order()))
    assert result.exit_code == 2 and "go with --calendar" in result.output


def test_the_world_of_a_journal_is_the_one_that_wrote_it(tmp_path: Path) -> None:
    made, acme = parkade()
    data_folder(tmp_path, disk_with(made.journal))
    with contextlib.closing(open_sqlite(journal_path(tmp_path))) as store:
        assert world_of(store).records.reservations[acme.reservation] == acme
