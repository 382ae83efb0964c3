"""Programs that answer a question from the whole journal, each run in a process of its own.

They are `parkade sim what-if` and `parkade market verify`: they read the journal and change
nothing. A run has the least priority, one of a program is under way at a time, and one that takes
longer than `MOST_S` is ended as failed. The newest few runs stay known until the server ends.

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
MOST_RUNS = 8
MOST_ANSWER_BYTES = 16 * 1024 * 1024
MOST_ERROR_CHARACTERS = 300
Arguments = tuple[str, ...]
"""The question, as the command line has it."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its answer where it is done, the error where it failed."""

    arguments: Arguments
    started: datetime
    state: Literal["running", "done", "failed"]
    answer: dict[str, Any] | None = None
    error: str = ""


class JournalProgram:
    """A program and its newest runs. `flag` comes before each argument; `answer_codes`: the exit
    codes after which its output is an answer. Used in one event loop."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        flag: str | None = None,
        answer_codes: Container[int] = (0,),
        most_s: float = MOST_S,
    ) -> None:
        nice = shutil.which("nice")
        self._command = (*((nice, "-n", "19") if nice else ()), *command) if command else ()
        self._flag = flag
        self._answer_codes = answer_codes
        self._most_s = most_s
        self._runs: OrderedDict[Arguments, Run] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_available(self) -> bool:
        """Whether this server has the program, and a journal for it."""
        return bool(self._command)

    def latest(self, arguments: Arguments) -> Run | None:
        """The newest run with these arguments."""
        return self._runs.get(arguments)

    def start(self, arguments: Arguments, now: datetime) -> bool:
        """Starts a run unless one is under way; says whether it did."""
        assert self.is_available, "there is no program to run"
        if self._task is not None and not self._task.done():
            return False
        self._keep(Run(arguments=arguments, started=now, state="running"))
        self._task = asyncio.create_task(self._run(arguments, now))
        return True

    async def wait(self) -> None:
        """Returns once no run is under way."""
        if self._task is not None:
            await self._task

    async def _run(self, arguments: Arguments, started: datetime) -> None:
        flags = [] if self._flag is None else [self._flag]
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *(word for argument in arguments for word in (*flags, argument)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        answer, error = None, f"it took longer than {self._most_s:.0f} s, and was ended"
        try:
            output, errors = await asyncio.wait_for(process.communicate(), self._most_s)
            if process.returncode in self._answer_codes and len(output) <= MOST_ANSWER_BYTES:
                answer, error = json.loads(output), ""
            else:
                words = errors.decode(errors="replace").strip()
                error = words[-MOST_ERROR_CHARACTERS:] or "it printed nothing"
        except TimeoutError:
            pass
        except ValueError:
            error = "its output cannot be read"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        state: Literal["done", "failed"] = "failed" if answer is None else "done"
        self._keep(
            Run(arguments=arguments, started=started, state=state, answer=answer, error=error)
        )

    def _keep(self, run: Run) -> None:
        self._runs.pop(run.arguments, None)
        self._runs[run.arguments] = run
        while len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)
