"""Live attempts on the local engine, while their keepers are lost at any moment."""

import asyncio
from pathlib import Path

import pytest

from parkade.engines.local import records
from parkade.ports import Phase
from tests.engines.conftest import LocalPlace, kill_keeper
from tests.engines.contract_live import is_up, live_attempt, pid_of, shown, with_members
from tests.engines.trial import order_in, released, run, until_seen

pytestmark = pytest.mark.system


@pytest.mark.parametrize("delay_ms", [0, 20, 60, 120, 200, 300])
def test_a_keeper_that_is_lost_while_ranks_come_and_go_is_taken_over(
    place: LocalPlace, tmp_path: Path, delay_ms: int
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), live_attempt(tmp_path)
        await engine.launch(attempt)
        await is_up(place, attempt, 0)
        first = pid_of(place, attempt, 0)
        more = with_members(attempt, 1, (0, 0, "n0", None), (1, 1, "n1", None))
        await engine.resize(more)
        await asyncio.sleep(delay_ms / 1000)
        kill_keeper(place, attempt)
        # Only a look replaces a keeper; the lost one may have put the rank on record before.
        seen = await until_seen(
            engine,
            attempt,
            lambda it: it.is_keeper_lost and _has_begun(place, attempt.attempt, 1),
        )
        await is_up(place, attempt, 1)
        assert seen.phase is Phase.RUNNING and pid_of(place, attempt, 0) == first
        fewer = with_members(attempt, 2, (0, 0, "n0", None), (1, 1, "n1", order_in(40, 45)))
        await engine.resize(fewer)
        await asyncio.sleep(delay_ms / 1000)
        kill_keeper(place, attempt)
        seen = await until_seen(engine, attempt, lambda it: bool(it.left))
        assert seen.phase is Phase.RUNNING
        assert (place.checkpoints(attempt) / "saved.1").exists()
        assert [name for name, _ in seen.devices] == ["n0"]
        await until_seen(engine, attempt, lambda _: len(shown(place, attempt, 0)["members"]) == 1)
        (place.checkpoints(attempt) / "done").touch()
        await released(engine, attempt)

    run(body())


def _has_begun(place: LocalPlace, attempt: str, number: int) -> bool:
    folder = place.engine().folders.find(attempt)
    state = None if folder is None else records.read_state(folder)
    if state is None or number >= len(state.members):
        return False
    member = state.members[number]
    return member is not None and member.has_begun
