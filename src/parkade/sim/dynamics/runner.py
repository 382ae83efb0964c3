"""How a simulated job behaves on its seats: when it starts, saves, leaves, ends, fails.

All that it does follows from the `Job` it was drawn as and from the notices it gets, so that it is
the same under every rule. It checkpoints every 15 minutes of running; a job that saves at a notice
loses nothing, one that is killed goes on from its last checkpoint.
"""

from parkade.core.units.time import MINUTE_US
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.saving import EXIT_SAVED
from parkade.core.workloads.workload import Attempt, Stop
from parkade.sim.dynamics.demand import Job

CHECKPOINT_EVERY_US = 15 * MINUTE_US


class Runner:
    """A job with its present attempt and what it has done so far."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.attempt: Attempt | None = None
        self.generation = 0
        self.started_us: int | None = None
        self.stop: Stop | None = None
        self.broken_us: int | None = None
        self._done_us = 0
        self._has_failed = False

    def launch(self, attempt: Attempt) -> None:
        """A new attempt is ordered."""
        self.attempt, self.generation = attempt, attempt.generation
        self.started_us = self.stop = self.broken_us = None

    def is_at(self, generation: int) -> bool:
        """Whether this attempt still has its seats."""
        return self.attempt is not None and self.generation == generation

    def ends_us(self) -> int:
        """When the work is done, or when it fails."""
        assert self.started_us is not None
        until_us = self.job.work_us
        if self._will_fail() and self.job.fails_after_us is not None:
            until_us = self.job.fails_after_us
        return self.started_us + max(0, until_us - self._done_us)

    def is_failing(self) -> bool:
        """Whether the end at hand is its one failure."""
        return self._will_fail()

    def end(self, now_us: int) -> None:
        """It ended by itself."""
        self._has_failed = True
        self._progress(now_us, is_saved=False)

    def leaves_us(self) -> int:
        """When its seats are seen free after the notice; at once where it had no process yet."""
        assert self.stop is not None
        if self.started_us is None:
            return self.stop.noticed_us
        saving_us = self.job.saving_us
        if saving_us is not None and self.stop.noticed_us + saving_us <= self.stop.kill_us:
            return self.stop.noticed_us + saving_us
        return self.stop.kill_us + self.job.lingers_us

    def leave(self, now_us: int) -> int | None:
        """It left under its notice: the exit code, None where it was killed."""
        assert self.stop is not None
        has_begun = self.started_us is not None
        is_saved = has_begun and self.job.saving_us is not None and now_us < self.stop.kill_us
        self._progress(now_us, is_saved=is_saved and self.broken_us is None)
        return EXIT_SAVED if is_saved else None

    def _will_fail(self) -> bool:
        return self.job.fails_after_us is not None and not self._has_failed

    def _progress(self, now_us: int, *, is_saved: bool) -> None:
        if self.started_us is None:
            return
        ran_us = (self.broken_us or now_us) - self.started_us
        if not is_saved:
            ran_us -= ran_us % CHECKPOINT_EVERY_US
        self._done_us += max(0, ran_us)


def observed(
    runner: Runner, phase: EnginePhase, now_us: int, *, code: int | None
) -> ObservedAttempt:
    """What an agent reports of it; `code` None: ended by a signal, where it has ended."""
    attempt = runner.attempt
    assert attempt is not None
    is_over = phase is EnginePhase.RELEASED
    signal = 9 if code is None else None
    return ObservedAttempt(
        attempt=attempt.attempt,
        generation=attempt.generation,
        phase=phase,
        started_us=runner.started_us,
        released_us=now_us if is_over else None,
        exits=tuple(
            RankExit(rank=rank, code=code, signal=signal)
            for rank in range(len(attempt.seats) if is_over else 0)
        ),
        checkpoint=None,
        devices=(),
        launch_error=None,
        engine_state=phase.value,
    )
