"""How every engine ends a guest that the control plane cannot reach, and spares all others."""

import time
from collections.abc import Callable

import pytest

from parkade.agent.optional import KeepsLeases
from parkade.ports import Engine, Lease, Phase, Transient
from tests.engines import standins
from tests.engines.trial import (
    FOR_EVER,
    Place,
    ask,
    attempt_of,
    of,
    order_in,
    released,
    run,
    until,
)

S = 1_000_000


def lease(silence_s: float, notice_s: float = 30.0, kill_s: float = 5.0) -> Lease:
    spans = (int(it * S) for it in (silence_s, notice_s, kill_s))
    silence_us, notice_us, kill_us = spans
    return Lease(silence_us=silence_us, notice_us=notice_us, kill_us=kill_us)


async def heard(engine: Engine) -> None:
    assert isinstance(engine, KeepsLeases)
    await engine.renew_leases()


class LeaseContract:
    """Part of EngineContract. `lease_s`: longer than the engine takes to start an attempt."""

    lease_s = 1.0

    def test_silence_of_a_lease_ends_a_guest_with_its_notice_and_spares_an_owner(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            guest = attempt_of(
                standins.saves("SIGTERM"), save=ask("SIGTERM"), lease=lease(self.lease_s)
            )
            owner = attempt_of(FOR_EVER)
            await heard(engine)
            for attempt in (guest, owner):
                await engine.launch(attempt)
            await engine.close()
            await until((place.checkpoints(guest) / "told.0").exists)
            successor = place.engine()
            seen = await released(successor, guest)
            assert seen.exits[0].code == 85 and seen.checkpoint is not None
            assert seen.is_signalled
            assert seen.lapsed_us is not None and seen.started_us is not None
            assert seen.lapsed_us < (seen.released_us or 0)
            spared = of(await successor.observe(), owner)
            assert spared is not None and spared.phase is Phase.RUNNING
            assert spared.lapsed_us is None
            await successor.stop(owner.attempt, order_in(0, 0))
            await released(successor, owner)

        run(body())

    def test_a_lapsed_guest_that_stays_gets_term_and_kill_in_time(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            guest = attempt_of(
                "exec " + standins.goes_on(),
                save=ask("SIGTERM"),
                lease=lease(self.lease_s / 2, 0.3, 0.3),
            )
            await heard(engine)
            await engine.launch(guest)
            seen = await released(engine, guest)
            assert seen.exits[0].signal == 9
            assert (seen.released_us or 0) >= (seen.lapsed_us or 0) + 600_000

        run(body())

    def test_a_guest_stays_while_the_control_plane_is_heard(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            guest = attempt_of(FOR_EVER, lease=lease(30.0))
            await engine.launch(guest)
            await until((place.checkpoints(guest) / "up.0").exists)
            await heard(engine)
            seen = of(await engine.observe(), guest)
            assert seen is not None and seen.lapsed_us is None
            await engine.stop(guest.attempt, order_in(0, 0))
            assert (await released(engine, guest)).lapsed_us is None

        run(body())

    def test_an_order_heard_a_lease_ago_starts_no_guest_until_more_is_heard(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            guest = attempt_of("exit 0", lease=lease(0.3))
            await heard(engine)
            await until(_passed(0.35))
            with pytest.raises(Transient):
                await engine.launch(guest)
            assert of(await engine.observe(), guest) is None
            owner = attempt_of("exit 0")
            await engine.launch(owner)
            await released(engine, owner)
            await heard(engine)
            patient = attempt_of("exit 0", lease=lease(60.0))
            await engine.launch(patient)
            assert (await released(engine, patient)).exits[0].code == 0

        run(body())


def _passed(seconds: float) -> Callable[[], bool]:
    ends_at = time.monotonic() + seconds
    return lambda: time.monotonic() >= ends_at
