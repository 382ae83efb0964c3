"""A guest on its seats: when it starts, saves and leaves, and what of its work is lost.

It checkpoints each so many minutes of running; one that saves at a notice loses nothing, one that
is killed loses what it did since its last checkpoint. The same for every policy.
"""

from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.workload import Attempt, Stop
from parkade.sim.replay.demand import Guest

KILL_SIGNAL = 9


def lost_us(ran_us: int, checkpoint_every_us: int) -> int:
    """How much of a run is lost when it is killed."""
    assert ran_us >= 0 and checkpoint_every_us > 0
    return ran_us % checkpoint_every_us


class Runner:
    """A guest that was submitted, with its present attempt."""

    def __init__(self, guest: Guest, workload: str) -> None:
        self.guest = guest
        self.workload = workload
        self.attempt: Attempt | None = None
        self.generation = 0
        self.started_us: int | None = None
        self.stop: Stop | None = None
        self.is_done = False
        """It left the queue: whatever stops it now loses nothing."""

        self.waits_for: str | None = None
        """In a word of the core, or `starting`; None: it runs, or is done."""

        self.waits_since_us = 0

    def launch(self, attempt: Attempt) -> None:
        """A new attempt is ordered."""
        assert attempt.generation > self.generation
        self.attempt, self.generation = attempt, attempt.generation
        self.started_us = self.stop = None

    def is_at(self, generation: int) -> bool:
        """Whether this attempt still has its seats."""
        return self.attempt is not None and self.generation == generation

    def has_saved_by(self, at_us: int) -> bool:
        """Whether a notice left it the time to save."""
        saving_us = self.guest.saving_us
        return (
            self.stop is not None
            and self.started_us is not None
            and saving_us is not None
            and self.stop.noticed_us + saving_us <= min(at_us, self.stop.kill_us)
        )

    def leaves_us(self) -> int:
        """When its seats are seen free after the notice: once it has saved, else at the kill. What
        had not started has nothing to save and goes at once."""
        stop, saving_us = self.stop, self.guest.saving_us
        assert stop is not None
        if self.started_us is None:
            return stop.noticed_us
        if saving_us is not None and stop.noticed_us + saving_us <= stop.kill_us:
            return stop.noticed_us + saving_us
        return stop.kill_us


def observed(
    runner: Runner, phase: EnginePhase, now_us: int, *, code: int | None = None
) -> ObservedAttempt:
    """What an agent reports of it; `code` None: ended by a signal, where it has ended."""
    attempt = runner.attempt
    assert attempt is not None
    is_over = phase is EnginePhase.RELEASED
    exits = (RankExit(rank=0, code=code, signal=KILL_SIGNAL if code is None else None),)
    return ObservedAttempt(
        attempt=attempt.attempt,
        generation=attempt.generation,
        phase=phase,
        started_us=runner.started_us,
        released_us=now_us if is_over else None,
        exits=exits if is_over else (),
        checkpoint=None,
        devices=(),
        launch_error=None,
        engine_state=phase.value,
    )
