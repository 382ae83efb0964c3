"""Finds owners' jobs that wait for a limit of their account or QOS, which no node helps.

Slurm looks at such a limit only once it has nodes for a job, so an owner's job seems to wait for
nodes, is let onto them, and then says `AssocGrpGRES`. From then on it asks for none for a pause,
which doubles with each time that Slurm says so again: guests leave in vain once a pause at most.
"""

from collections.abc import Callable, Iterable

import msgspec

from parkade.engines.slurm.answers import Job

LIMITS = ("Assoc", "QOS")
"""How Slurm's reason of a job begins that waits for a limit."""
FIRST_PAUSE_US = 60_000_000
MOST_PAUSE_US = 900_000_000
MOST_NAMED = 5


class _Pause(msgspec.Struct, frozen=True, kw_only=True):
    until_us: int
    span_us: int
    words: str


class Limits:
    """Of one pool; one look after another."""

    def __init__(self) -> None:
        self._pauses: dict[int, _Pause] = {}

    def look(
        self, others: Iterable[Job], *, is_owners: Callable[[Job], bool], now_us: int
    ) -> frozenset[int]:
        """The leaders of jobs that ask for no nodes now; `now_us` of any steady clock. Cost grows
        with the jobs."""
        waiting = [job for job in others if job.is_waiting and is_owners(job)]
        known = {job.leader for job in waiting}
        self._pauses = {job: pause for job, pause in self._pauses.items() if job in known}
        for job in waiting:
            old = self._pauses.get(job.leader)
            if job.reason.startswith(LIMITS) and (old is None or now_us >= old.until_us):
                span_us = FIRST_PAUSE_US if old is None else min(2 * old.span_us, MOST_PAUSE_US)
                self._pauses[job.leader] = _Pause(
                    until_us=now_us + span_us, span_us=span_us, words=_words(job)
                )
        return frozenset(job for job, pause in self._pauses.items() if now_us < pause.until_us)

    @property
    def note(self) -> str | None:
        """What the pool's operator should know of them."""
        if not self._pauses:
            return None
        named = "; ".join(self._pauses[job].words for job in sorted(self._pauses)[:MOST_NAMED])
        more = len(self._pauses) - MOST_NAMED
        and_more = f"; and {more} more" if more > 0 else ""
        return f"owners' jobs that wait for a limit of Slurm, not for nodes: {named}{and_more}"


def _words(job: Job) -> str:
    asks = job.asks
    account = f" (account {asks.account})" if asks.account else ""
    return f"{job.leader} of {asks.user or job.uid}{account}: {job.reason[:60]}"
