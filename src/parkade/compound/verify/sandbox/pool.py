"""A pool of sandboxes for untrusted Python.

Theory of operation
-------------------
Starting an interpreter for each program costs more than most programs. So a room (`room`) has one
bubblewrap sandbox with one warm interpreter in it, the zygote, which forks for each job and never
runs a line of it. The forks are jailed (`inside/jail.py`). A candidate ends with its job; a tester
goes on as long as tests can leave nothing in it (`inside/stateless.py`).

    caller ── Sandbox ──┬── room 0:  bwrap ── zygote ──┬── candidate   untrusted code
                        ├── room 1                     └── tester      the question's tests
                        └── …

Who can say "passed"? Only the tester. It is a sibling of the candidate, in another process
namespace (and, under root, with another Unix user), and alone holds the descriptor on which a
verdict is told. The candidate holds one end of a socket, on which it answers calls with plain data.
What it writes there is an answer, however it came about. It cannot see the tests, nor anything of
other jobs: code and tests reach candidate and tester past the zygote, and what these say goes out
through memory that forks do not get, so that no copy is in what a candidate is forked with.

A worked example, HumanEval's contract. Job 7 has the source of `add`, tests `def check(candidate):
assert candidate(1, 2) == 3`, check "check", names ("add",).

1. The zygote reads the limits of job 7, forks a tester if none waits, forks the candidate, gives
   the number 7 to the tester, waits for it.
2. The candidate reads job 7's source, runs it and writes {"ready": {"add": "function"}}.
3. The tester reads job 7's tests, runs them, calls `check` with a proxy of `add`. The proxy writes
   ["add", [1, 2], {"d": []}] and reads {"value": 3}: 3 is an int of the tester's own making.
4. The tester writes {"kind": "passed"}, tells the zygote that job 7 is decided, and waits for the
   next, since an assertion about a call leaves nothing behind.
5. The zygote kills the candidate. It is process 1 of its namespace, so the kernel ends everything
   else in there before the zygote's wait returns. The zygote reads its use, and replies.

Invariants: a job has passed only if the tester said so; after the reply no process, file or setting
of the job's code is left; a room in doubt serves no second job.
"""

import asyncio
import os
from types import TracebackType
from typing import Self

from parkade.compound.verify.sandbox.errors import SandboxUnavailable
from parkade.compound.verify.sandbox.jobs import (
    CallJob,
    CallOutcome,
    Job,
    JobEnding,
    Reply,
    Silent,
    TestJob,
    TestOutcome,
    call_outcome,
    test_outcome,
)
from parkade.compound.verify.sandbox.limits import Limits
from parkade.compound.verify.sandbox.plan import MOST_ROOMS, Python, RoomPlan, plan
from parkade.compound.verify.sandbox.room import Lost, Room, open_room

ATTEMPTS = 2

_numbers_taken: set[int] = set()


class Sandbox:
    """Runs jobs in up to `rooms` sandboxes at a time; opens them when they are first needed.

    Belongs to one event loop. Use it as an asynchronous context, or call `close`.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        rooms: int | None = None,
        python: Python | None = None,
        allow_unsandboxed: str | None = None,
    ) -> None:
        """`rooms` defaults to the processors of this machine, `python` to the one that runs this.

        `allow_unsandboxed` is the sentence of `SandboxUnavailable`: it lets untrusted code run with
        all rights of this process where bubblewrap is not installed.
        """
        count = len(os.sched_getaffinity(0)) if rooms is None else rooms
        if not 1 <= count <= MOST_ROOMS:
            raise ValueError(f"rooms is {count}; it must be between 1 and {MOST_ROOMS}")
        self.limits = limits or Limits()
        self._python = python or Python.current()
        self._allow_unsandboxed = allow_unsandboxed
        self._idle: list[tuple[int, Room]] = []
        self._free = asyncio.Semaphore(count)
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all idle rooms and takes no more jobs; rooms with a job end with it."""
        self._is_closed = True
        while self._idle:
            self._end(*self._idle.pop())

    def processes(self) -> tuple[int, ...]:
        """The outermost process of each idle room."""
        return tuple(room.pid for _, room in self._idle)

    async def test(self, job: TestJob, limits: Limits | None = None) -> TestOutcome:
        """Runs code against its tests; raises `UnfitTests`, `JobTooLarge`, `SandboxUnavailable`."""
        bounds = limits or self.limits
        found = await self._serve(job, bounds)
        if found is None:
            return TestOutcome(
                is_passed=False,
                reason=JobEnding.LOST.words,
                ending=JobEnding.LOST,
                cpu_us=0,
                peak_bytes=0,
            )
        return test_outcome(*found, bounds)

    async def call(self, job: CallJob, limits: Limits | None = None) -> CallOutcome:
        """Runs code and calls its functions; raises `JobTooLarge`, `SandboxUnavailable`."""
        bounds = limits or self.limits
        found = await self._serve(job, bounds)
        if found is None:
            lost = (Silent(why=JobEnding.LOST.words),) * len(job.calls)
            return CallOutcome(answers=lost, ending=JobEnding.LOST, cpu_us=0, peak_bytes=0)
        return call_outcome(*found, job, bounds)

    async def _serve(self, job: Job, limits: Limits) -> tuple[Reply, bytes] | None:
        """The reply of a room; None if two rooms were lost over the job."""
        if self._is_closed:
            raise SandboxUnavailable("the sandbox was closed")
        async with self._free:
            for _ in range(ATTEMPTS):
                number, room = await self._room()
                try:
                    return await room.serve(job, limits)
                except Lost:
                    continue
                finally:
                    self._put_back(number, room)
        return None

    async def _room(self) -> tuple[int, Room]:
        if self._idle:
            return self._idle.pop()
        number = next((n for n in range(MOST_ROOMS) if n not in _numbers_taken), None)
        if number is None:
            raise SandboxUnavailable(
                f"this process has {MOST_ROOMS} sandboxes, and may have no more"
            )
        _numbers_taken.add(number)
        try:
            return number, await open_room(self._plan(number))
        except BaseException:
            _numbers_taken.discard(number)
            raise

    def _plan(self, number: int) -> RoomPlan:
        is_root = os.geteuid() == 0
        return plan(
            self._python, room=number, is_root=is_root, allow_unsandboxed=self._allow_unsandboxed
        )

    def _put_back(self, number: int, room: Room) -> None:
        if room.is_open and not self._is_closed:
            self._idle.append((number, room))
        else:
            self._end(number, room)

    def _end(self, number: int, room: Room) -> None:
        room.close()
        _numbers_taken.discard(number)
