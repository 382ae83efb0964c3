"""Submits attempts as batch jobs, once each: what is sent is on record before it is sent.

A submission whose answer is not known is neither repeated nor forgotten: its job is looked for by
its mark, and only where a complete answer has none after a while is it sent again. The claim in the
attempt's folder lets only one job of an attempt begin.
"""

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

import parkade
from parkade.engines.local import records
from parkade.engines.local.records import Launch
from parkade.engines.slurm import homes, planning, script
from parkade.engines.slurm.acting import Acting
from parkade.engines.slurm.answers import Node
from parkade.engines.slurm.homes import Submission
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import Clock, DesiredAttempt, EngineError, Transient

LOCK = "submit.lock"
MOST_KEPT = 20


class Submitting:
    """Knows how a job is written and sent. Blocks. `fence`: the reservation that closes
    the nodes of `fenced` to others. `refused`: attempts whose last submission failed, and why."""

    def __init__(self, settings: SlurmSettings, acting: Acting, clock: Clock) -> None:
        self.settings = settings
        self.acting = acting
        self.clock = clock
        self.fence = ""
        self.fenced: frozenset[str] = frozenset()
        self.refused: dict[str, str] = {}

    def script(
        self, attempt: DesiredAttempt, home: Path, nodes: Mapping[str, Node], number: int
    ) -> str:
        """The batch script of the submission of that number, counted from 1."""
        source = str(Path(parkade.__file__).parent.parent)
        python = [f"PYTHONPATH={source}", self.settings.python or sys.executable, "-s", "-P"]
        return script.batch(
            attempt,
            planning.parts(attempt.ranks, nodes, self.settings),
            home,
            self._settings_for(attempt),
            nonce=_nonce(home, attempt, number),
            python=python,
        )

    def _settings_for(self, attempt: DesiredAttempt) -> SlurmSettings:
        if self.fenced.isdisjoint(seat.node for seat in attempt.ranks):
            return self.settings
        return msgspec.structs.replace(self.settings, reservation=self.fence)

    def first(self, home: Path, launch: Launch, nodes: Mapping[str, Node]) -> None:
        """Submits it where that was never done."""
        with _lock(home):
            if not homes.read_submissions(home) and homes.read_end(home) is None:
                self._send(home, launch, nodes, ())

    def again(
        self, home: Path, launch: Launch, nodes: Mapping[str, Node], known: tuple[Submission, ...]
    ) -> None:
        """Submits it once more, where no other agent did since `known` was read."""
        with _lock(home):
            if homes.read_submissions(home) == known and homes.claimed_by(home) is None:
                self._send(home, launch, nodes, known)

    def landed(self, attempt: str) -> None:
        """Slurm has its job, whatever was said when it was sent."""
        self.refused.pop(attempt, None)

    @contextmanager
    def paused(self, home: Path) -> Iterator[None]:
        """Nothing of this attempt is submitted meanwhile."""
        with _lock(home):
            yield

    def _send(
        self,
        home: Path,
        launch: Launch,
        nodes: Mapping[str, Node],
        known: tuple[Submission, ...],
    ) -> None:
        number = 1 + homes.number_of(known)
        text = self.script(launch.attempt, home, nodes, number)
        sent = Submission(
            nonce=_nonce(home, launch.attempt, number), at_us=self.clock.now_us(), job=None
        )
        known = known[-MOST_KEPT:]
        records.write(home / homes.SUBMISSIONS, (*known, sent))
        account = launch.account if launch.is_other_user else None
        try:
            job = self.acting.submit(text, account).partition(";")[0]
            if not job.isdigit():
                raise Transient(f"sbatch answered {job[:100]!r}, which is no job")
        except EngineError as error:
            self.refused[launch.attempt.attempt] = str(error)
            raise
        self.refused.pop(launch.attempt.attempt, None)
        sent = msgspec.structs.replace(sent, job=int(job))
        records.write(home / homes.SUBMISSIONS, (*known, sent))


def _nonce(home: Path, attempt: DesiredAttempt, number: int) -> str:
    """Another one for each attempt of each installation, and for each of its submissions."""
    of = f"{home} {attempt.ordered_us} {attempt.launch_sequence}"
    return f"{hashlib.sha256(of.encode()).hexdigest()[:16]}.{number}"


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
