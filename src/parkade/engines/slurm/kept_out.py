"""Finds jobs of others that wait because a fence keeps them off its nodes, for its operator.

Slurm says of them no more than `ReqNodeNotAvail`, and starts them never. A job of an owner that is
larger than what its reservation has left waits the same way, without a claim. A job counts once it
has waited so for `PATIENCE_US`, because one that is being let in is seen in between.
"""

from collections.abc import Collection, Iterable, Sequence

from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.owners import Group, Rule, let_into, owner_of

KEPT_OUT = ("ReqNodeNotAvail", "Reserv")
"""How Slurm's reason of a job begins that nodes of a reservation keep waiting."""
PATIENCE_US = 30_000_000
MOST_NAMED = 5


class KeptOut:
    """Of one pool's fence; one look after another."""

    def __init__(self) -> None:
        self._since_us: dict[int, int] = {}
        self.note: str | None = None

    def look(
        self,
        others: Iterable[Job],
        rules: Sequence[Rule],
        groups: Iterable[Group],
        *,
        fence: str,
        given: Collection[str],
        now_us: int,
    ) -> bool:
        """Whether other jobs wait now than at the last look; `note` says which. `given`: the groups
        that have nodes; `now_us` of any steady clock. Cost grows with the jobs."""
        waiting = {
            job.number: _words(job, rules)
            for job in others
            if job.is_waiting and job.reason.startswith(KEPT_OUT) and let_into(job, fence) is None
        }
        for group in groups:
            if group.key not in given:
                for job in group.jobs:
                    if job.is_waiting:
                        nodes = f"{group.nodes} node{'s' if group.nodes != 1 else ''}"
                        waiting[job.number] = (
                            f"{job.number} of {job.asks.user or job.uid}: reservation"
                            f" {group.reservation} has not {nodes} left for it, or they are drained"
                        )
        self._since_us = {job: self._since_us.get(job, now_us) for job in waiting}
        old, self.note = self.note, _note(waiting, self._since_us, now_us)
        return self.note is not None and self.note != old


def _words(job: Job, rules: Sequence[Rule]) -> str:
    asks = job.asks
    account = f" (account {asks.account})" if asks.account else ""
    why = "" if owner_of(job, rules) else ", which no rule of owners fits"
    return f"{job.number} of {asks.user or job.uid}{account}{why}: {job.reason[:60]}"


def _note(waiting: dict[int, str], since_us: dict[int, int], now_us: int) -> str | None:
    long = [job for job in sorted(waiting) if now_us - since_us[job] >= PATIENCE_US]
    if not long:
        return None
    named = "; ".join(waiting[job] for job in long[:MOST_NAMED])
    more = f"; and {len(long) - MOST_NAMED} more" if len(long) > MOST_NAMED else ""
    return f"jobs that wait outside the fence: {named}{more}"
