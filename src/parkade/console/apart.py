"""What is asked of the whole journal, in a process apart: what other prices would have made of it,
and whether a clearing's record holds.

The process is the one of `parkade sim what-if` or of `parkade market verify`: it reads the journal
and changes nothing. It has the least priority, one of a kind runs at a time, and one that takes
longer than `MOST_S` is ended and said to be. What was found stays known for the newest few
questions, until the server ends.

Decision records 190 and 206.
"""

import asyncio
import json
import shutil
from collections import OrderedDict
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

MOST_S = 120.0
MOST_KEPT = 8
MOST_BYTES = 16 * 1024 * 1024
MOST_OF_ERROR = 300
Changes = tuple[str, ...]
"""What is asked, in words of the command line."""


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """A run: what it found, or why it found nothing; `begun`: of the journal as it was then."""

    changes: Changes
    begun: datetime
    state: Literal["running", "done", "failed"]
    found: dict[str, Any] | None = None
    why: str = ""


class Apart:
    """The runs of one program on one server: it is asked in words, each after `flag` if there is
    one. `answers`: the exit codes with which it tells what it found. Used in one event loop."""

    def __init__(
        self,
        program: Sequence[str],
        *,
        flag: str | None = None,
        answers: Container[int] = (0,),
        most_s: float = MOST_S,
    ) -> None:
        nice = shutil.which("nice")
        self._program = (*((nice, "-n", "19") if nice else ()), *program) if program else ()
        self._flag = flag
        self._answers = answers
        self._most_s = most_s
        self._played: OrderedDict[Changes, Played] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_there(self) -> bool:
        """Whether the server has a journal that can be played."""
        return bool(self._program)

    def of(self, changes: Changes) -> Played | None:
        """The newest run of these words."""
        return self._played.get(changes)

    def start(self, changes: Changes, now: datetime) -> bool:
        """Begins a run, unless one of any words is under way; says whether it did."""
        assert self.is_there, "there is nothing to play"
        if self._task is not None and not self._task.done():
            return False
        self._keep(Played(changes=changes, begun=now, state="running"))
        self._task = asyncio.create_task(self._play(changes, now))
        return True

    async def ended(self) -> None:
        """Waits until none is under way."""
        if self._task is not None:
            await self._task

    async def _play(self, changes: Changes, begun: datetime) -> None:
        flags = [] if self._flag is None else [self._flag]
        asked = [word for change in changes for word in (*flags, change)]
        process = await asyncio.create_subprocess_exec(
            *self._program,
            *asked,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        found, why = None, f"it took longer than {self._most_s:.0f} s, and was ended"
        try:
            answer, errors = await asyncio.wait_for(process.communicate(), self._most_s)
            if process.returncode in self._answers and len(answer) <= MOST_BYTES:
                found, why = json.loads(answer), ""
            else:
                why = errors.decode(errors="replace").strip()[-MOST_OF_ERROR:] or "it told nothing"
        except TimeoutError:
            pass
        except ValueError:
            why = "what it told cannot be read"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        state: Literal["done", "failed"] = "failed" if found is None else "done"
        self._keep(Played(changes=changes, begun=begun, state=state, found=found, why=why))

    def _keep(self, played: Played) -> None:
        self._played.pop(played.changes, None)
        self._played[played.changes] = played
        while len(self._played) > MOST_KEPT:
            self._played.popitem(last=False)
