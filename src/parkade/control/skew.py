"""Between the present of the writer and the wall clocks of agents, where the two differ.

Where the server's wall clock was set back, the present goes on ahead of it (`clock`). An agent
carries out deadlines by its own wall clock, which is right or was set back as well: what it is told
is dated back by the difference, and what it saw is dated forward. Identities (`ordered_us`) stay.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from parkade.core.workloads.observed import ObservedAttempt
from parkade.ports import DesiredAttempt, DesiredState, Observation


def for_agents(state: DesiredState, behind_us: int) -> DesiredState:
    """The state with its deadlines on the wall clock. Grows with the attempts."""
    if behind_us == 0:
        return state
    return replace(state, attempts=tuple(_dated_back(one, behind_us) for one in state.attempts))


def from_agents(observation: Observation, behind_us: int) -> Observation:
    """The observation with its dates in the writer's present. Grows with the attempts."""
    if behind_us == 0:
        return observation
    return replace(
        observation,
        at_us=observation.at_us + behind_us,
        attempts=tuple(_dated_forward(observation.attempts, behind_us)),
    )


def _dated_back(attempt: DesiredAttempt, behind_us: int) -> DesiredAttempt:
    stop = attempt.stop
    if stop is None:
        return attempt
    earlier = replace(
        stop,
        noticed_us=stop.noticed_us - behind_us,
        deadline_us=stop.deadline_us - behind_us,
        kill_us=stop.kill_us - behind_us,
    )
    return replace(attempt, stop=earlier)


def _dated_forward(
    attempts: tuple[ObservedAttempt, ...], behind_us: int
) -> Iterator[ObservedAttempt]:
    for one in attempts:
        checkpoint = one.checkpoint
        if checkpoint is not None:
            checkpoint = replace(checkpoint, at_us=checkpoint.at_us + behind_us)
        yield replace(
            one,
            started_us=None if one.started_us is None else one.started_us + behind_us,
            released_us=None if one.released_us is None else one.released_us + behind_us,
            checkpoint=checkpoint,
        )
