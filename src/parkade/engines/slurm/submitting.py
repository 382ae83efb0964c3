"""Submits attempts as batch jobs, once each: what is sent is on record before it is sent.

A submission whose answer is not known is neither repeated nor forgotten: its job is looked for by
its mark, and only where a complete answer has none after a while is it sent again. The claim in the
attempt's folder lets only one job of an attempt begin.

One that is refused because its user is not let in (`NotAdmitted`) is over: the attempt ends, and
the market tries the workload again. Any other submission that was refused is sent again after a
pause (`standing.lost_us`), and at once where what kept it may be gone (`retry_soon`): Slurm answers
again, or a fence stands or has other users.
"""

import fcntl
import hashlib
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import parkade
from parkade.core.units.phrases import some_of
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.engines.local import records
from parkade.engines.local.records import Launch
from parkade.engines.slurm import homes, planning, script, standing
from parkade.engines.slurm.acting import Acting
from parkade.engines.slurm.answers import Node
from parkade.engines.slurm.commands import NotAdmitted
from parkade.engines.slurm.homes import Submission
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import (
    Clock,
    DesiredAttempt,
    EngineError,
    InvalidSpec,
    Transient,
    Unreachable,
)

LOCK = "submit.lock"
MOST_KEPT = 20
MOST_NAMED = 5
SHOWN_US = 30 * MINUTE_US
"""So long it is told of whom Slurm took no job; work of such a user is tried more often."""


class Submitting:
    """Knows how a job is written and sent. Blocks. `fence`: the reservation that closes
    the nodes of `fenced` to others. `refused`: attempts whose last submission failed, why, and
    when the next is due."""

    def __init__(self, settings: SlurmSettings, acting: Acting, clock: Clock) -> None:
        self.settings = settings
        self.acting = acting
        self.clock = clock
        self.fence = ""
        self.fenced: frozenset[str] = frozenset()
        self.refused: dict[str, str] = {}
        self._unadmitted: dict[str, tuple[int, str]] = {}
        """By user, of whom Slurm took no job last: when, and what was said."""
        self._unanswered: set[str] = set()
        """Of the refused, those of which it is not known whether Slurm took them."""
        self._soon: dict[str, int] = {}
        """By attempt, as how many tries it counts, so that the next one comes soon."""

    def note(self) -> str | None:
        """What the pool's operator is told of users of whom Slurm takes no job."""
        oldest_us = self.clock.now_us() - SHOWN_US
        found = {it: w for it, w in self._unadmitted.copy().items() if w[0] >= oldest_us}
        if not found:
            return None
        named = (f"{user} ({says})" for user, (_, says) in sorted(found.items()))
        users = some_of(named, MOST_NAMED)
        return f"Slurm takes no job of {users}, so work of theirs waits, unseated"

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
        self._soon.pop(attempt, None)
        self._unanswered.discard(attempt)

    def keep_only(self, attempts: Collection[str]) -> None:
        """Forgets what was said of all others."""
        for over in set(self.refused.copy()) - set(attempts):
            self.landed(over)

    def retry_soon(self) -> None:
        """What kept those that were refused may be gone. Where Slurm gave no answer its job is
        looked for first, as after the first try."""
        self._soon |= {it: 1 if it in self._unanswered else 0 for it in self.refused.copy()}

    def tries(self, attempt: str, submitted: int) -> int:
        """As how many tries those submissions count for the pause until the next."""
        return self._soon.get(attempt, submitted)

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
        name = launch.attempt.attempt
        self._soon.pop(name, None)
        records.write(home / homes.SUBMISSIONS, (*known, sent))
        account = launch.account if launch.is_other_user else None
        try:
            job = self.acting.submit(text, account).partition(";")[0]
            if not job.isdigit():
                raise Transient(f"sbatch answered {job[:100]!r}, which is no job")
        except NotAdmitted as error:
            says = self._named(launch, error)
            self._unadmitted[launch.account.name] = sent.at_us, says
            raise NotAdmitted(says) from None
        except EngineError as error:
            if not isinstance(error, InvalidSpec):
                self._note_refusal(name, error, sent.at_us + standing.lost_us(number))
            raise
        self.landed(name)
        self._unadmitted.pop(launch.account.name, None)
        sent = msgspec.structs.replace(sent, job=int(job))
        records.write(home / homes.SUBMISSIONS, (*known, sent))

    def _named(self, launch: Launch, error: EngineError) -> str:
        """The commands that let in a user, for this one."""
        says = re.sub(r"\bUSER\b", launch.account.name, str(error))
        return says.replace("=ACCOUNT", f"={self.settings.account or 'ACCOUNT'}")

    def _note_refusal(self, attempt: str, error: EngineError, again_us: int) -> None:
        again = datetime.fromtimestamp(again_us // SECOND_US, UTC)
        self.refused[attempt] = f"{error}; it is tried again by {again:%H:%M:%S} UTC"
        if isinstance(error, Unreachable):
            self._unanswered.add(attempt)
        else:
            self._unanswered.discard(attempt)


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
