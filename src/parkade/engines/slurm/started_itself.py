"""Words what Slurm started by itself where others have a right, for the pool's operator.

While a fence is down Slurm starts any job anywhere. What an owner's job has so counts on its
reservation, as far as that goes. What is beyond it, or is no owner's at all, can keep a promise to
others from being met. Only a person may move or end such a job. So it is said which job, whose, on
which nodes, and by what command. A job counts once it was seen so for `PATIENCE_US`: what an
owner's right covers is known only once the control plane was heard.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from parkade.core.units.phrases import some_of
from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.kept_out import PATIENCE_US
from parkade.engines.slurm.owners import Group, Rule, let_into, owner_of
from parkade.ports import GivenNodes

MOST_NAMED = 5
MOST_NODES = 4


class StartedItself:
    """Of one pool's fence; one look after another."""

    def __init__(self) -> None:
        self._since_us: dict[int, int] = {}
        self.note: str | None = None

    def look(
        self,
        others: Sequence[Job],
        rules: Sequence[Rule],
        groups: Sequence[Group],
        *,
        fence: str,
        nodes: Collection[str],
        given: Sequence[GivenNodes],
        now_us: int,
    ) -> bool:
        """Whether others are told of than at the last look; `note` says which. `given`: what owners
        hold; strangers are told of while an owner's job waits for nodes. Cost grows with the jobs.
        """
        owned = {node for one in given for node in one.nodes}
        held = {one.job for one in given}
        waits = any(group.key not in held and not group.runs_on for group in groups)
        found = {
            job.number: _words(job, there, owner)
            for job, there, owner in _started(others, rules, fence, nodes, owned)
            if owner is not None or waits
        }
        self._since_us = {job: self._since_us.get(job, now_us) for job in found}
        long = [job for job in found if now_us - self._since_us[job] >= PATIENCE_US]
        old, self.note = self.note, _note([found[job] for job in long])
        return self.note is not None and self.note != old


def _started(
    others: Iterable[Job],
    rules: Sequence[Rule],
    fence: str,
    nodes: Collection[str],
    owned: Collection[str],
) -> Iterator[tuple[Job, list[str], str | None]]:
    """Each job that runs outside the fence on nodes that no owner has, and whose it is."""
    for job in sorted(others, key=lambda it: it.number):
        if not job.is_live or job.is_waiting or let_into(job, fence) is not None:
            continue
        there = [node for node in job.nodes if node in nodes and node not in owned]
        if there and job.asks.reservation != fence:
            yield job, there, owner_of(job, rules)


def _words(job: Job, there: Sequence[str], owner: str | None) -> str:
    asks = job.asks
    account = f" (account {asks.account})" if asks.account else ""
    right = f"beyond reservation {owner}" if owner else "which no rule of owners fits"
    return (
        f"job {job.number} of {asks.user or job.uid}{account} on {some_of(there, MOST_NODES)},"
        f" {right}: `scontrol requeue {job.number}`, or `scancel {job.number}`"
    )


def _note(found: Sequence[str]) -> str | None:
    if not found:
        return None
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    named = "; ".join(found[:MOST_NAMED])
    return f"Slurm itself started, on nodes on which others may have a right: {named}{more}"
