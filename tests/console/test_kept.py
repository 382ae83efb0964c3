"""What the console keeps: sessions, failures of a login, samples."""

import asyncio
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from parkade.console.history import (
    History,
    MarketSample,
    Sample,
    _read,
    _write,
    points,
    sample_of,
)
from parkade.console.sessions import Sessions
from parkade.console.throttle import Throttle
from parkade.wire.lot import Lot
from tests.api.town import Town, town
from tests.builders import pool_body, terms_body
from tests.console.visitor import visitor
from tests.waits import until

KEPT = Path(__file__).parent / "kept"
HOUR_S = 3_600.0


async def test_a_session_lasts_its_time_and_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "sessions.json"
    sessions = Sessions(file, session_s=HOUR_S)
    session = await sessions.begin("a" * 64, 1_000.0, user="ann", org="acme")
    again = Sessions(file, session_s=HOUR_S)
    found = again.find(session, 1_000.0 + HOUR_S - 1)
    assert found is not None and found.token_digest == "a" * 64
    assert again.find(session, 1_000.0 + HOUR_S) is None
    assert again.find("another", 1_000.0) is None
    assert (found.user, found.org) == ("ann", "acme")


def test_a_broken_file_of_sessions_asks_for_a_new_login(tmp_path: Path) -> None:
    file = tmp_path / "sessions.json"
    file.write_text("{")
    assert Sessions(file, session_s=HOUR_S).find("x", 0.0) is None


def test_failures_are_forgotten_after_their_time_and_by_address() -> None:
    throttle = Throttle(most=2, within_s=60.0)
    for at_s in (0.0, 10.0):
        assert throttle.wait_s("a", at_s) == 0
        throttle.failed("a", at_s)
    assert throttle.wait_s("a", 20.0) == 40.0
    assert throttle.wait_s("b", 20.0) == 0
    assert throttle.wait_s("a", 60.0) == 0


def test_a_kept_file_of_sessions_and_samples_is_still_read(tmp_path: Path) -> None:
    kept = Sessions(KEPT / "console-sessions-v1.json", session_s=HOUR_S)
    assert kept.find("a-session-of-version-1", 1_000.0) is not None
    samples = _read(KEPT / "console-history-v1.jsonl", 0)
    assert [it.at_s for it in samples] == [1_000, 1_060]
    assert samples[1].orgs == {"acme": (16, 0, 8)} and samples[1].prices == {"h100": 2_100_000}
    _write(tmp_path / "again.jsonl", tuple(samples))
    assert _read(tmp_path / "again.jsonl", 1_001) == samples[1:]


def test_the_chart_goes_on_where_its_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "console-history.jsonl").mkdir()
    with town(tmp_path) as server:
        person = visitor(server.url, server.operator)
        until(lambda: 'class="chart"' in person.text("/"))


def test_a_file_that_can_be_written_again_has_what_it_missed(tmp_path: Path) -> None:
    file = tmp_path / "late" / "history.jsonl"
    nothing: Any = None
    history = History(nothing, nothing, file=file, every_s=1.0)
    samples = _read(KEPT / "console-history-v1.jsonl", 0)

    async def keep(sample: Sample) -> None:
        history._minutes.append(sample)
        await history._keep(sample)

    asyncio.run(keep(samples[0]))
    file.parent.mkdir()
    asyncio.run(keep(samples[1]))
    assert _read(file, 0) == samples


def test_samples_show_an_org_its_own_part() -> None:
    sample = Sample(
        at_s=1,
        owner=16,
        lent=8,
        spot=0,
        on_demand=0,
        idle=4,
        out=0,
        orgs={"acme": (16, 0, 0), "lab": (0, 0, 8)},
        prices={"m": None},
    )
    (whole,) = points([sample], org=None, market="m")
    (own,) = points([sample], org="lab", market="m")
    assert whole.layers == (16, 8, 0, 0, 4, 0) and whole.price_micros is None
    assert own.layers == (0, 0, 8)


def test_a_market_is_shown_its_own_gpus_and_what_an_older_version_kept_is_a_gap() -> None:
    small = MarketSample(
        owner=0, lent=0, spot=2, on_demand=0, idle=4, out=0, orgs={"lab": (0, 0, 2)}
    )
    (old,) = _read(KEPT / "console-history-v1.jsonl", 1060)
    new = replace(old, at_s=1120, prices={"garage": 5}, markets={"garage": small})
    (own,) = points([old, new], org=None, market="garage", is_of_all=False)
    assert (own.at_s, own.layers, own.price_micros) == (1120, (0, 0, 2, 0, 4, 0), 5)
    (of_lab,) = points([old, new], org="lab", market="garage", is_of_all=False)
    assert of_lab.layers == (0, 0, 2)
    assert points([new], org=None, market="hall", is_of_all=False) == []


def test_a_sample_of_two_markets_has_the_gpus_of_each(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    fresh.done(fresh.post("/pools", pool_body(["hall-1"], pool="hall", terms=terms_body())))
    attempt = fresh.wait_for_attempt(pool, fresh.submit(pool, owner, nodes=2, gpus=2))
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    lot = Lot.model_validate(fresh.done(fresh.get("/lot")))
    sample = sample_of(lot, {}, at_s=1)
    assert (sample.spot, sample.idle) == (4, 14)
    hall, lab = sample.markets["hall"], sample.markets[pool]
    assert (hall.spot, hall.idle, hall.orgs) == (0, 2, {})
    assert (lab.spot, lab.idle) == (4, 12) and list(lab.orgs.values()) == [(0, 0, 4)]
