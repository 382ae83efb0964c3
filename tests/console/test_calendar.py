"""The calendar of reservations: bars where their windows are, parts of them, what happens when."""

import itertools
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.console.calendar import MOST_ENDED, MOST_LANES, Calendar, View, calendar
from parkade.console.claims import EndedClaim
from parkade.console.draw_calendar import week
from parkade.wire.money import Cost
from parkade.wire.reservations import Claim, Lending, Reservation, Waits

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
NOW = MONDAY + timedelta(days=3, hours=12)
ZERO = timedelta()


def reservation(
    start: datetime, end: datetime | None, *, name: str = "r", **fields: object
) -> Reservation:
    cost = Cost(
        price_per_gpu_hour=Decimal(4), gpus=16, per_hour=Decimal(64), at_most=None, says="so much"
    )
    kept: dict[str, object] = {
        "reservation": name,
        "org": "acme",
        "market": "lab",
        "state": "in_force",
        "nodes": 4,
        "gpus_per_node": 4,
        "shape": {"f1": 4},
        "start": start,
        "end": end,
        "rate": Decimal(4),
        "paid_until": None,
        "lending": None,
        "nodes_used": 0,
        "waits": Waits(times=0, total=ZERO, longest=ZERO, times_one_more_kept=0),
        "cost": cost,
    }
    return Reservation.model_validate(kept | fields)


def claim(nodes: int, claimed: datetime) -> Claim:
    return Claim(
        claim="c1",
        reservation="r",
        org="acme",
        nodes=nodes,
        claimed=claimed,
        seated=None,
        seats=(),
        why="",
    )


def shown(
    *reservations: Reservation,
    view: View = "week",
    claims: tuple[Claim, ...] = (),
    ended: tuple[EndedClaim, ...] = (),
) -> Calendar:
    day = date(2026, 11, 26)
    return calendar(view, day, now=NOW, reservations=reservations, claims=claims, ended=ended)


def test_a_bar_lies_where_its_window_is_and_says_which_edge_is_in_this_week() -> None:
    (found,) = shown(reservation(MONDAY + timedelta(days=1), MONDAY + timedelta(days=4.5))).weeks
    (bar,) = found.bars
    assert (round(bar.start * 7, 6), round(bar.end * 7, 6)) == (1, 4.5)
    assert bar.begins_here and bar.ends_here
    (found,) = shown(reservation(MONDAY - timedelta(days=9), None)).weeks
    (bar,) = found.bars
    assert (bar.start, bar.end, bar.begins_here, bar.ends_here) == (0, 1, False, False)


def test_a_month_has_its_weeks_from_monday_on_with_the_days_beside_it() -> None:
    found = shown(view="month")
    assert found.title == "November 2026"
    assert [it.days[0] for it in found.weeks] == [
        date(2026, 10, 26) + timedelta(days=7 * number) for number in range(6)
    ]
    assert (found.before, found.after) == (date(2026, 10, 1), date(2026, 12, 1))
    assert sum(it.now is not None for it in found.weeks) == 1


def test_claims_count_from_when_they_were_made_and_the_offer_from_now_on() -> None:
    lends = Lending(floor=Decimal("1.25"), keep=1)
    whole = reservation(MONDAY - timedelta(days=30), None, lending=lends)
    (found,) = shown(whole, claims=(claim(2, MONDAY + timedelta(days=1)),)).weeks
    claimed, offered = found.bars[0].parts
    assert (claimed.kind, claimed.nodes, round(claimed.start * 7, 6)) == ("claimed", 2, 1)
    assert (offered.kind, offered.nodes, round(offered.start * 7, 6)) == ("offered", 1, 3.5)
    text = str(week(shown(whole), found, earned={date(2026, 11, 24): "7.31"}, may_change=True))
    assert "2 claimed, lends from 1.25, open end" in text and "+7.31" in text
    assert 'href="/reservations/r/claim"' in text


def gone(nodes: int, from_h: float, to_h: float) -> EndedClaim:
    """A claim of `r` over hours of the week."""
    start, end = (MONDAY + timedelta(hours=it) for it in (from_h, to_h))
    return EndedClaim("c0", "r", nodes, start, end)


def test_a_claim_that_ended_stands_where_it_was_and_says_when() -> None:
    whole = reservation(MONDAY - timedelta(days=30), None)
    (found,) = shown(whole, ended=(gone(2, 24, 36),)).weeks
    (past,) = found.bars[0].parts
    assert (past.kind, past.nodes, past.below) == ("past", 2, 0)
    assert (round(past.start * 7, 6), round(past.end * 7, 6)) == (1, 1.5)
    text = str(week(shown(whole), found, earned={}, may_change=True))
    assert "2 claimed 24 Nov 00:00 to 24 Nov 12:00" in text
    assert "2 claimed, " not in text, "what is claimed now is told of those that live"


def test_an_ended_claim_before_this_week_or_of_another_reservation_is_not_drawn() -> None:
    whole = reservation(MONDAY - timedelta(days=30), None)
    for each in (gone(2, -36, -24), gone(2, 24, 36)._replace(reservation="other")):
        assert shown(whole, ended=(each,)).weeks[0].bars[0].parts == ()


CLAIMS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 80), st.integers(1, 40)), max_size=8)


@given(CLAIMS, st.booleans())
def test_no_two_parts_of_a_bar_cover_each_other(
    given_claims: list[tuple[int, int, int]], is_one_live: bool
) -> None:
    ended = tuple(gone(nodes, at, min(at + long, 84)) for nodes, at, long in given_claims)
    live = (claim(1, MONDAY + timedelta(hours=30)),) if is_one_live else ()
    lends = Lending(floor=Decimal(1), keep=0)
    whole = reservation(MONDAY - timedelta(days=9), None, nodes=24, lending=lends)
    (found,) = shown(whole, claims=live, ended=ended).weeks
    parts = found.bars[0].parts
    assert sum(it.kind == "past" for it in parts) == sum(it.ended > it.claimed for it in ended)
    for one, two in itertools.combinations(parts, 2):
        is_apart = one.end <= two.start + 1e-9 or two.end <= one.start + 1e-9
        assert is_apart or one.below + one.nodes <= two.below or two.below + two.nodes <= one.below


def test_of_very_many_ended_claims_the_newest_are_drawn() -> None:
    whole = reservation(MONDAY - timedelta(days=30), None)
    many = tuple(gone(1, number / 10, (number + 1) / 10) for number in range(MOST_ENDED + 30))
    parts = shown(whole, ended=many).weeks[0].bars[0].parts
    assert len(parts) == MOST_ENDED and round(parts[0].start * 7 * 24, 6) == 3


def test_what_begins_later_says_when_and_leads_to_its_panel() -> None:
    later = reservation(NOW + timedelta(days=1), NOW + timedelta(days=2), state="sold")
    found = shown(later)
    text = str(week(found, found.weeks[0], earned={}, may_change=True))
    assert "starts 27 Nov 12:00, ends 28 Nov 12:00" in text and 'href="#reservation-r"' in text
    assert [it.says for it in found.happenings] == ["starts", "ends"]


def test_a_name_is_text_also_in_the_drawing() -> None:
    found = shown(reservation(MONDAY, None, name="<script>"))
    text = str(week(found, found.weeks[0], earned={}, may_change=True))
    assert "<script>" not in text and "&lt;script&gt;" in text


@pytest.mark.parametrize("view", ["week", "month"])
def test_what_finds_no_lane_is_counted(view: View) -> None:
    many = [reservation(MONDAY, None, name=f"r{number:02}") for number in range(40)]
    found = shown(*many, view=view)
    last = next(it for it in found.weeks if it.days[0] == MONDAY.date())
    assert (len(last.bars), last.left_out) == (MOST_LANES[view], 40 - MOST_LANES[view])
    drawn = str(week(found, last, earned={}, may_change=False))
    assert f"and {last.left_out} reservations more" in drawn


WINDOWS = st.lists(
    st.tuples(st.integers(0, 300), st.one_of(st.none(), st.integers(1, 200))), max_size=12
)


@given(WINDOWS)
def test_bars_of_a_lane_never_overlap_and_none_is_lost(
    windows: list[tuple[int, int | None]],
) -> None:
    reservations = []
    for number, (from_h, length_h) in enumerate(windows):
        start = MONDAY - timedelta(hours=100) + timedelta(hours=from_h)
        end = None if length_h is None else start + timedelta(hours=length_h)
        reservations.append(reservation(start, end, name=f"r{number}"))
    (found,) = shown(*reservations).weeks
    week_end = MONDAY + timedelta(days=7)
    here = [it for it in reservations if it.start < week_end and (it.end or week_end) > MONDAY]
    assert len(found.bars) == len(here) and found.left_out == 0
    for lane in range(found.lanes):
        bars = sorted(
            (it for it in found.bars if it.lane == lane), key=lambda it: (it.start, it.end)
        )
        assert all(one.end <= two.start for one, two in itertools.pairwise(bars))


@pytest.mark.parametrize(
    ("windows", "sides"),
    [
        ([(0, 7)], ["right"]),
        ([(0, 0.5)], ["right"]),
        ([(6.5, 7)], ["left"]),
        ([(3, 3.5), (3.5, 4)], ["left", "right"]),
        ([(0, 0.5), (0.5, 1), (1, 1.5)], ["cut", "cut", "right"]),
    ],
)
def test_text_that_is_longer_than_its_bar_goes_on_over_empty_ground(
    windows: list[tuple[float, float]], sides: list[str]
) -> None:
    each = [
        reservation(MONDAY + timedelta(days=start), MONDAY + timedelta(days=end), name=f"r{number}")
        for number, (start, end) in enumerate(windows)
    ]
    found = shown(*each)
    drawn = str(week(found, found.weeks[0], earned={}, may_change=True))
    bars = re.findall(r'<svg class="bar .*?</svg>', drawn)
    told = []
    for number in range(len(windows)):
        (bar,) = (it for it in bars if f">r{number} · " in it)
        second = re.search(r'<text class="more"[^>]*>', bar)
        assert second is not None
        side = "left" if 'text-anchor="end"' in second[0] else "right"
        told.append(side if 'overflow="visible"' in bar else "cut")
    assert told == sides
