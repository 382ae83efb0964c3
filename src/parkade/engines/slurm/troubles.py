"""Words what keeps Slurm from doing its part, for people far from the agent's log. Pure."""

from collections.abc import Iterable, Mapping

from parkade.core.workloads.observed import MOST_WORDS
from parkade.ports import MOST_TROUBLES, Observation, Trouble


def unseen(pool: str, at_us: int, error: Exception, *, since_us: int) -> Observation:
    """A look that failed: nothing of the pool is known, but why, and since when."""
    says = f"Slurm does not answer the agent: {error}"[:MOST_WORDS]
    found = (Trouble(attempt=None, says=says, since_us=since_us),)
    return Observation(pool=pool, at_us=at_us, is_complete=False, attempts=(), troubles=found)


def of_pool(
    fence: str | None,
    submissions: Mapping[str, str],
    waiting: Mapping[str, str],
    *,
    notes: Iterable[str | None] = (),
) -> tuple[Trouble, ...]:
    """`fence`: what Slurm said when it refused the fence last; `submissions`: what was said of
    those that did not come to be, by attempt; `waiting`: why jobs of others wait in Slurm, by
    attempt; `notes`: what keeps no workload of ours."""
    found = [] if fence is None else [Trouble(attempt=None, says=f"no fence: {fence}"[:MOST_WORDS])]
    found += [
        Trouble(attempt=name, says=f"it is not in Slurm yet: {why}"[:MOST_WORDS])
        for name, why in sorted(submissions.items())
    ]
    found += [
        Trouble(attempt=name, says=says[:MOST_WORDS])
        for name, says in sorted(waiting.items())
        if name not in submissions
    ]
    found += [Trouble(attempt=None, says=note[:MOST_WORDS], is_note=True) for note in notes if note]
    return tuple(found[:MOST_TROUBLES])
