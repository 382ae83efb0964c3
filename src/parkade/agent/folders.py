"""Asks the control plane until when folders of workloads are kept, and has them go then.

Only a control plane that the agent obeys is asked, and the question names the entry of the journal
that the agent obeyed, so that one restored from an older backup is not asked about what it has
forgotten. Each part is bounded by the engine; what was missed comes again in the next pass.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from parkade.agent.backoff import Backoff
from parkade.agent.control_plane import ControlPlaneError
from parkade.agent.optional import KeepsFolders
from parkade.ports import (
    EngineError,
    FolderAnswer,
    FolderReport,
    Timer,
)

PART_S = 1.0
"""Between two parts of a pass."""
PASS_S = 300.0
"""Between two passes."""

logger = logging.getLogger("parkade.agent.folders")


@runtime_checkable
class AnswersFolders(Protocol):
    """An optional capability of a control plane: it knows until when folders are kept."""

    async def folders(self, report: FolderReport) -> Sequence[FolderAnswer]:
        """An answer for each folder of the report."""
        ...


async def keep_folders(
    engine: KeepsFolders,
    control_plane: AnswersFolders,
    *,
    pool: str,
    timer: Timer,
    may_ask: Callable[[], bool],
    now_us: Callable[[], int],
) -> None:
    """Until it is cancelled. `may_ask`: the control plane is heard and obeyed."""
    backoff = Backoff(timer)
    while True:
        pause_s = PART_S
        try:
            if may_ask():
                look = await engine.idle_folders(now_us())
                if look.folders or look.kept is not None:
                    report = FolderReport(pool=pool, folders=look.folders, kept=look.kept)
                    answers = await control_plane.folders(report)
                    for gone in await engine.settle_folders(look.folders, answers):
                        logger.info("the folder of workload %s is deleted: its time is over", gone)
                if look.kept is not None:
                    pause_s = PASS_S
            for problem in await engine.delete_folders():
                logger.warning("not deleted, and left alone: %s", problem)
        except ControlPlaneError as error:
            await backoff.wait("folders", error)
            continue
        except (EngineError, OSError) as error:
            logger.warning("folders of workloads: %s", error)
        backoff.reset()
        await timer.sleep(pause_s)
