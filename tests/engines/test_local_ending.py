"""What is left when the engine is removed from a machine: nothing."""

import asyncio

from parkade.engines.local.ending import end_everything
from parkade.ports import Phase
from tests.engines import standins
from tests.engines.conftest import LocalPlace, kill_keeper, up
from tests.engines.trial import (
    FOR_EVER,
    NEVER_LEAVES,
    ask,
    attempt_of,
    released,
    run,
)


def test_everything_ends_when_the_engine_is_removed_also_what_lost_its_keeper(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine = place.engine()
        saves = attempt_of(standins.saves("SIGTERM"), save=ask("SIGTERM"))
        stays = attempt_of(NEVER_LEAVES + FOR_EVER, ranks=attempt_of("x", nodes=2).ranks)
        for attempt in (saves, stays):
            await engine.launch(attempt)
            await up(place, attempt)
        kill_keeper(place, stays)
        await engine.close()
        left = await asyncio.to_thread(end_everything, place.data, notice_s=2, timeout_s=60)
        assert left == []
        ended = place.engine()
        assert (await released(ended, saves)).checkpoint is not None
        assert (await released(ended, stays)).phase is Phase.RELEASED

    run(body())


def test_what_does_not_end_in_time_is_named(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(NEVER_LEAVES + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        left = await asyncio.to_thread(end_everything, place.data, notice_s=0, timeout_s=0)
        assert left == [attempt.attempt]
        await released(engine, attempt)

    run(body())
