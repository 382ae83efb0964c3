"""Decides what Slurm's answer and the members' states say of one attempt together. Pure.

Theory of operation
-------------------
Two sources tell of an attempt. Slurm says whether its job waits, runs, or is over, and so whether
the nodes are free. The members say what became of the ranks, in files. Neither is enough:

    job in squeue     members            meaning
    waiting           -                  starting; the job of what is to leave is cancelled
    live              ranks started      running
    COMPLETING        -                  not free yet
    over              released           released: exits are the members'
    over              silent, node up    released: Slurm cleaned the node; exits are unknown
    over              silent, node down  not free before GRACE_US: its processes may outlive slurmd
    absent, unclaimed -                  lost before it began: submitted again after `lost_us`
    absent, claimed   as for over        lost or purged while or after it ran

The answer is complete or it is not used: an absent job is a fact only in a complete answer. A job
acknowledged just before its controller was killed may be gone; the claim in the attempt's folder
says whether it ever began, and no second job begins a claimed attempt, so nothing runs twice.

Where Slurm ended a job by itself (`WENT_WRONG`), or kills one that its controller forgot, ranks die
of that: how they ended says nothing of the workload (`believed`), unless they were asked to leave.
The same holds where an administrator cancelled it (`cancelling`), and there for an exit 0 as well,
because a program that was sent TERM may have saved and left.

Example. A gang on n1 and n2; slurmd of n2 is killed. Slurm says NODE_FAIL; n1's member is ended by
Slurm, n2's lives on without its slurmd. The engine writes a kill order, which n2's member reads;
its state says released, and the attempt is released. Had n2 lost power, nothing would be written,
and the attempt would be released GRACE_US later; n2 itself stays DOWN in Slurm and gets no job.
"""

import enum
import signal
from collections.abc import Mapping, Sequence

import msgspec

from parkade.engines.slurm.answers import Job
from parkade.ports import RankExit

LOST_US = 10_000_000
MOST_LOST_US = 30_000_000
GRACE_US = 60_000_000
WENT_WRONG = frozenset(
    {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "DEADLINE", "TIMEOUT", "LAUNCH_FAILED"}
)
"""How Slurm says that it, and not the workload, ended a job."""
KILLS = frozenset({signal.SIGTERM, signal.SIGKILL})
"""By which slurmd ends what its controller does not know."""


class Standing(enum.Enum):
    """What is to be done about an attempt that has not been released."""

    WAITS = enum.auto()
    LIVES = enum.auto()
    LOST = enum.auto()
    UNFREE = enum.auto()
    FREE = enum.auto()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of it now. `parts`: of the job that counts, empty where Slurm has none.
    `silent`: its nodes whose member has not said that all is gone. `over_us`: when it was first
    seen to be over, None before now. `tries`: how often it was submitted, as `lost_us` counts."""

    parts: tuple[Job, ...]
    is_claimed: bool
    submitted_us: int | None
    silent: tuple[str, ...]
    over_us: int | None
    tries: int = 1


def lost_us(tries: int) -> int:
    """How long a job may be absent that was submitted so often: 10 s, 20 s, then 30 s each time.
    What keeps sbatch from its controller is seldom gone at the next try. 0 for none: Slurm said
    that it has no such job, and what it said against it may be mended."""
    if tries <= 0:
        return 0
    return min(LOST_US << (tries - 1), MOST_LOST_US)


def judge(facts: Facts, *, is_up: Mapping[str, bool], now_us: int) -> Standing:
    """`is_up`: whether Slurm hears each node; absent ones count as down."""
    if any(part.is_live for part in facts.parts):
        is_waiting = all(part.is_waiting or not part.is_live for part in facts.parts)
        return Standing.WAITS if is_waiting else Standing.LIVES
    if not facts.parts and not facts.is_claimed:
        submitted_us = facts.submitted_us
        is_lost = submitted_us is None or now_us - submitted_us >= lost_us(facts.tries)
        return Standing.LOST if is_lost else Standing.WAITS
    if not facts.is_claimed:
        return Standing.FREE
    over_us = now_us if facts.over_us is None else facts.over_us
    is_unheard = any(not is_up.get(node, False) for node in facts.silent)
    return Standing.UNFREE if is_unheard and now_us - over_us < GRACE_US else Standing.FREE


def believed(
    exits: Sequence[RankExit],
    parts: Sequence[Job],
    *,
    is_ordered: bool,
    is_cancelled_by_others: bool = False,
) -> tuple[RankExit, ...]:
    """Exits as the workload's own doing; one that is not has no code and no signal. `parts`: of the
    job that is over, empty where Slurm has forgotten it; `is_ordered`: it was to leave."""
    if is_ordered:
        return tuple(exits)
    if is_cancelled_by_others:
        return tuple(RankExit(rank=it.rank, code=None, signal=None) for it in exits)
    is_slurms = any(part.states & WENT_WRONG for part in parts)
    return tuple(
        RankExit(rank=it.rank, code=None, signal=None)
        if (is_slurms and it.code != 0) or (not parts and it.signal in KILLS)
        else it
        for it in exits
    )


def choose(
    jobs: Sequence[tuple[Job, ...]], claimed: int | None
) -> tuple[tuple[Job, ...], tuple[int, ...]]:
    """The job of an attempt that counts, and the numbers of others that are to be cancelled: the
    one that claimed it, else the oldest that lives, else the newest."""
    if not jobs:
        return (), ()
    in_order = sorted(jobs, key=lambda parts: parts[0].leader)
    living = [parts for parts in in_order if any(part.is_live for part in parts)]
    owner = [parts for parts in in_order if parts[0].leader == claimed]
    if claimed is not None and not owner:
        return (), tuple(parts[0].leader for parts in living)
    chosen = owner[0] if owner else living[0] if living else in_order[-1]
    return chosen, tuple(parts[0].leader for parts in living if parts is not chosen)
