"""The production agent with a trap behind each launch: `PARKADE_CRASH_AT=after_launch:n`.

It dies once in a life of its server: a file in its folder says that it did, or the agent that is
started in its place would die as well.
"""

import os
import sys
from pathlib import Path
from typing import Any

from parkade.ports import DesiredAttempt, Engine
from parkade.service.agent import main
from parkade.service.engines import EnginePlace, engine_maker
from tests.crash.server import Trap


class TrappedEngine:
    """The local engine; the trap lies behind each launch."""

    def __init__(self, engine: Engine, sprung: Path) -> None:
        self._engine = engine
        self._sprung = sprung
        self._trap = Trap(os.environ.get("PARKADE_CRASH_AT", ""))

    async def launch(self, attempt: DesiredAttempt) -> None:
        """Launches, and perhaps dies before anybody hears of it."""
        await self._engine.launch(attempt)
        if not self._sprung.exists():
            self._trap.pass_point("after_launch", at_death=self._sprung.touch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def make_trapped(place: EnginePlace) -> Engine:
    """The engine of the catalogue, trapped."""
    engine = engine_maker("local", {"root_workloads": "true"})(place)
    sprung = place.folder.parent / f"died-under-{os.getppid()}"
    trapped: Any = TrappedEngine(engine, sprung)
    return trapped  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main(make_engine=make_trapped))
