"""Finds who cancelled a job: its user, or an administrator. `sacct` alone says so.

An administrator's `scancel` interrupts a guest, as a requeue does; a user's own ends its work. Both
end its ranks by the same signals. The accounting keeps the uid of the one who asked, which no user
can write. It learns of the end a moment later than the controller, so it is asked again for a
while. Where it does not say, the user's own doing is assumed: else a user could end a run at will,
and would pay for it only up to its last checkpoint.
"""

import re
from collections.abc import Sequence

from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.commands import Runner
from parkade.ports import EngineError

ASKED_FOR_US = 10_000_000
"""So long the accounting may know nothing of an end yet."""
CANCELLED = "CANCELLED"
BY = re.compile(r"CANCELLED by (\d+)")


class Canceller:
    """Of one job; each call of `look` may ask once. `is_known`: there is nothing more to learn."""

    def __init__(self) -> None:
        self.uid: int | None = None
        self.is_known = False
        self._since_us: int | None = None

    def look(self, commands: Runner, parts: Sequence[Job], *, now_us: int) -> None:
        """`parts`: of a job that is over. Blocks."""
        if self.is_known:
            return
        if not any(CANCELLED in part.states for part in parts):
            self.is_known = True
            return
        self._since_us = now_us if self._since_us is None else self._since_us
        number = str(parts[0].leader)
        try:
            answer = commands.run("sacct", "-X", "-n", "-P", "-j", number, "-o", "state%40")
        except EngineError:
            self.is_known = True
            return
        found = BY.search(answer.decode(errors="replace"))
        if found is not None:
            self.uid = int(found[1])
        self.is_known = found is not None or now_us - self._since_us >= ASKED_FOR_US
