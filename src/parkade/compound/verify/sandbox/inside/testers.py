"""Keeps a tester ready, and forks another when it has ended or the next job has other bounds.

All channels of a tester are made before it is forked, a pair of sockets for each job: the tester
has the one ends from its start, and each candidate is given the other end of its own pair alone. So
nothing that a candidate wrote, or left unread, is where another's answers are read.
"""

import os
import select
import socket

from parkade.compound.verify.sandbox.inside import tester, watch
from parkade.compound.verify.sandbox.inside.jail import Bounds, Jailer


class Tester:
    """A jailed process that runs tests, as the zygote sees it."""

    def __init__(self, jailer: Jailer, bounds: Bounds, seat: int, tests: int, jobs: int) -> None:
        self.bounds = bounds
        #: Whether it has said that it takes no further job.
        self.is_last = False
        self.hear, say = os.pipe()
        self.done, tell = os.pipe()
        begin, self._begin = os.pipe()
        pairs = [socket.socketpair() for _ in range(jobs)]
        ours = tuple(one.detach() for one, _ in pairs)
        #: Descriptors of the candidates' ends, in the order of the jobs.
        self._ends = [other.detach() for _, other in pairs]
        self.pid = jailer.fork(
            bounds, seat, (say, tell, begin, tests, *ours),
            lambda kept: tester.serve(tester.Ways(*kept[:4]), kept[4:], bounds.cpu_seconds),
        )  # fmt: skip
        for one in (say, tell, begin, *ours):
            os.close(one)
        self.process = os.pidfd_open(self.pid)

    def can_serve(self, bounds: Bounds) -> bool:
        """Whether it lives, has a channel left, and has these bounds."""
        has_ended = bool(select.select([self.process], [], [], 0)[0])
        return bool(self._ends) and bounds == self.bounds and not has_ended

    def channel(self) -> int:
        """A descriptor of the next job's channel, for its candidate; closed by who takes it."""
        return self._ends.pop(0)

    def begin(self, number: int) -> None:
        """Lets it read the tests of the job."""
        os.write(self._begin, tester.BEGIN.pack(number))

    def hear_done(self) -> tuple[int, int]:
        """Number of the job and code, once `done` can be read."""
        number, code = tester.DONE.unpack(os.read(self.done, tester.DONE.size))
        self.is_last = self.is_last or bool(code & tester.LAST)
        return number, code

    def end(self) -> None:
        """Ends it, with all that it forked."""
        watch.end(self.pid)
        for one in (self.hear, self.done, self._begin, self.process, *self._ends):
            os.close(one)


class Testers:
    """Has one tester at a time."""

    def __init__(self, jailer: Jailer, seat: int, tests: int, jobs: int) -> None:
        """`jobs`: how many a tester serves at most."""
        self._jailer = jailer
        self._seat = seat
        self._tests = tests
        self._jobs = jobs
        self._ready: Tester | None = None

    def ready(self, bounds: Bounds) -> Tester:
        """A tester that waits for a job of these bounds."""
        if self._ready is not None and not self._ready.can_serve(bounds):
            self.end()
        if self._ready is None:
            self._ready = Tester(self._jailer, bounds, self._seat, self._tests, self._jobs)
        return self._ready

    def end(self) -> None:
        """Ends the tester, if there is one."""
        if self._ready is not None:
            self._ready.end()
            self._ready = None
