"""Programs that get a notice: begun, told, ended."""

from parkade.ports import DesiredAttempt, Engine, ObservedAttempt
from tests.engines.trial import Place, ask, order_in, released, until

AUTO = ask("SIGTERM")
LONG_S = 40.0
"""A notice that no test waits for."""


def told(place: Place, attempt: DesiredAttempt, rank: str = "0") -> list[str]:
    """The signals that a rank's program got, in order."""
    path = place.checkpoints(attempt) / f"told.{rank}"
    return path.read_text().split() if path.exists() else []


async def begin(
    engine: Engine, place: Place, attempt: DesiredAttempt, *ranks: str, name: str = "up"
) -> None:
    await engine.launch(attempt)
    for rank in ranks or ("0",):
        await until((place.checkpoints(attempt) / f"{name}.{rank}").exists)


async def noticed(
    engine: Engine, attempt: DesiredAttempt, notice_s: float, kill_s: float
) -> ObservedAttempt:
    """How it ended after a notice."""
    await engine.stop(attempt.attempt, order_in(notice_s, notice_s + kill_s))
    return await released(engine, attempt)
