"""Looks at all attempts of a pool at once and does what follows from what is seen.

One look is one `squeue`, and one `sinfo` where a job is over of which a member has said nothing. It
acts only on a complete answer: it submits again what Slurm lost, cancels what waits though it is to
leave or stays past its kill, and cancels a second job of one attempt. Blocks.

A job is cancelled before its kill only where Slurm said that it waited after its order was written:
whatever begins later reads the order and opens no gang (`head`), so no program loses its notice.
"""

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import msgspec

from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import MOST_WORDS
from parkade.engines.local import records
from parkade.engines.local.escalation import merge
from parkade.engines.local.records import Launch
from parkade.engines.slurm import answers, freed, homes, standing, waiting
from parkade.engines.slurm.answers import Job, Node
from parkade.engines.slurm.commands import Commands, NotAdmitted
from parkade.engines.slurm.homes import Homes
from parkade.engines.slurm.standing import Facts, Standing
from parkade.engines.slurm.submitting import Submitting
from parkade.engines.slurm.view import Attempt
from parkade.ports import Clock, EngineError, InvalidSpec, Misconfigured, ObservedAttempt, Stop

logger = logging.getLogger(__name__)

NODES_KEPT_US = 60_000_000
"""How old what is known of the nodes may be when a job is written."""
STALE_US = 1_000_000
STRANGE_US = 5_000_000
CANCEL_AGAIN_US = 5_000_000
CANCEL_AFTER_KILL_US = 3_000_000
"""The members kill by themselves; this is for those that did not."""
DOWN = frozenset({"DOWN", "NO_RESPOND", "NOT_RESPONDING", "UNKNOWN", "POWERED_DOWN", "FUTURE"})


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """All attempts, and whether each could be read."""

    attempts: tuple[ObservedAttempt, ...]
    is_complete: bool


class Watching:
    """What is known of a pool's attempts; one look at a time."""

    def __init__(self, of: Homes, commands: Commands, submitting: Submitting, clock: Clock) -> None:
        self.homes = of
        self.commands = commands
        self.submitting = submitting
        self.clock = clock
        self._strange_us: dict[int, int] = {}
        self._lock = threading.Lock()
        self._attempts: dict[str, Attempt] = {}
        self._ended: dict[str, ObservedAttempt] = {}
        self._nodes: dict[str, Node] = {}
        self._nodes_us: int | None = None
        self._looked_us: int | None = None
        self._is_blind = False
        self._back_us: int | None = None
        self.others: tuple[Job, ...] = ()
        self.waiting: dict[str, str] = {}
        """Why jobs of attempts wait in Slurm, by attempt, as of the last look."""

    def nodes(self, kept_us: int) -> Mapping[str, Node]:
        """All nodes, as Slurm said at most that long ago, or as it said last where it does not
        answer."""
        now_us = self.clock.now_us()
        if self._nodes_us is None or now_us - self._nodes_us > kept_us:
            try:
                self._read_nodes()
            except EngineError as error:
                logger.warning("nodes are not read: %s", error)
        return self._nodes

    def is_stale(self) -> bool:
        """Whether the last look began a while ago."""
        looked_us = self._looked_us
        return looked_us is None or self.clock.now_us() - looked_us >= STALE_US

    def live(self, nodes: AbstractSet[str] | None = None) -> list[Launch]:
        """Launches whose seats are not free yet; of those that have nothing on `nodes`, where some
        are named, also some whose seats are. Cost: a file for each that is read."""
        found = []
        for name in self.homes.names():
            if name in self._ended:
                continue
            known = self._attempts.get(name)
            if known is not None and nodes is not None and nodes.isdisjoint(known.nodes):
                found.append(known.launch)
                continue
            home = self.homes.follow(name) if known is None else known.home
            if home is None or homes.read_end(home) is not None:
                continue
            launch = records.read_launch(home) if known is None else known.launch
            if launch is not None:
                found.append(launch)
        return found

    def look(self) -> Look:
        """Raises EngineError where Slurm does not say all of it."""
        with self._lock:
            self._looked_us = self.clock.now_us()
            # The names first: a job of a name read here was known before Slurm was asked.
            names = self._refresh()
            was_blind, self._is_blind = self._is_blind, True
            jobs = self._jobs()
            self._is_blind = False
            if was_blind:
                self._back_us = self._looked_us
                self.submitting.retry_soon()
            by_nonce = marked(jobs)
            waits: dict[str, str] = {}
            found = [self._see(one, by_nonce, waits) for one in self._attempts.values()]
            self.waiting = waits
            self.others = self._not_ours(jobs, by_nonce)
            seen = (*self._ended.values(), *found)
            is_complete = len(names) == len(seen)
        return Look(
            attempts=tuple(sorted(seen, key=lambda it: it.attempt)), is_complete=is_complete
        )

    def refuse(self, home: Path, launch: Launch, error: InvalidSpec | NotAdmitted) -> None:
        """Slurm refused the job for good, or takes none of its user: it ends before it began. What
        sbatch says may be the user's doing, as whom it runs."""
        attempt, why = Attempt(home, launch), str(error)
        seen = attempt.observed((), released_us=self.clock.now_us(), detail=why)
        found = msgspec.structs.replace(
            seen,
            launch_error=why[:MOST_WORDS],
            is_refused=isinstance(error, Misconfigured),
            is_unadmitted=isinstance(error, NotAdmitted),
        )
        self._end(home, found)

    def _refresh(self) -> list[str]:
        names = self.homes.names()
        for gone in (self._attempts.keys() | self._ended.keys()) - set(names):
            self._attempts.pop(gone, None)
            self._ended.pop(gone, None)
        for name in names:
            if name in self._ended:
                continue
            home = self.homes.follow(name)
            if home is None:
                continue
            if (end := homes.read_end(home)) is not None:
                self._attempts.pop(name, None)
                self._ended[name] = end
            elif name not in self._attempts:
                launch = records.read_launch(home)
                if launch is not None:
                    self._attempts[name] = Attempt(home, launch)
        self.submitting.keep_only(self._attempts.keys())
        return names

    def _jobs(self) -> tuple[Job, ...]:
        return answers.jobs(self.commands.run("squeue", "--json", "--all", "--states=all"))

    def _not_ours(
        self, jobs: Iterable[Job], by_nonce: Mapping[str, list[tuple[Job, ...]]]
    ) -> tuple[Job, ...]:
        """Live jobs that no attempt here submitted (`strangers`)."""
        known = {nonce for attempt in self._attempts.values() for nonce in attempt.nonces}
        own = {
            part.number
            for attempt in self._attempts.values()
            for parts in ours(by_nonce, attempt.nonces, uid=attempt.launch.account.uid)
            for part in parts
        }
        others = [job for job in jobs if job.is_live and job.number not in own]
        now_us = self.clock.now_us()
        since = self._strange_us
        self._strange_us = {job.number: since.get(job.number, now_us) for job in others}
        return strangers(others, known, self._strange_us, now_us=now_us)

    def _see(
        self,
        attempt: Attempt,
        by_nonce: Mapping[str, list[tuple[Job, ...]]],
        waits: dict[str, str],
    ) -> ObservedAttempt:
        attempt.look()
        own = ours(by_nonce, attempt.nonces, uid=attempt.launch.account.uid)
        parts, others = standing.choose(own, attempt.claimed)
        self._cancel(attempt, others)
        if parts:
            self.submitting.landed(attempt.home.name)
        now_us = self.clock.now_us()
        if parts and (says := waiting.words(parts[0], now_us)) is not None:
            waits[attempt.home.name] = says
        facts = Facts(
            parts=parts,
            is_claimed=attempt.claimed is not None,
            submitted_us=max((one.at_us for one in attempt.submissions), default=None),
            silent=attempt.silent,
            over_us=attempt.over_us,
            tries=self.submitting.tries(attempt.home.name, attempt.tries),
        )
        found = standing.judge(facts, is_up=self._is_up(attempt, facts), now_us=now_us)
        return self._act(attempt, parts, found, now_us)

    def _act(
        self, attempt: Attempt, parts: tuple[Job, ...], found: Standing, now_us: int
    ) -> ObservedAttempt:
        order = records.read_order(attempt.home)
        if found is Standing.FREE:
            if attempt.has_run and not attempt.is_ordered:
                attempt.canceller.look(self.commands, parts, now_us=now_us)
                if not attempt.canceller.is_known:
                    return attempt.observed(parts, released_us=None, detail="who cancelled it?")
            return self._release(attempt, parts, now_us)
        if found is Standing.UNFREE:
            self._end_survivors(attempt, now_us)
            return attempt.observed(parts, released_us=None, detail="a node is out of reach")
        attempt.over_us = None
        self._note_life(attempt, parts)
        if found is Standing.LOST and order is not None:
            return self._give_up(attempt, now_us)
        if found is Standing.LOST:
            self._submit_again(attempt)
        was_ordered, attempt.was_ordered = attempt.was_ordered, order is not None
        if order is not None and parts:
            lives = found is Standing.LIVES or not was_ordered
            due_us = order.kill_us + CANCEL_AFTER_KILL_US if lives else now_us
            if now_us >= due_us and now_us >= attempt.cancelled_us + CANCEL_AGAIN_US:
                attempt.cancelled_us = now_us
                self._cancel(attempt, (parts[0].leader,))
        return attempt.observed(parts, released_us=None)

    def _give_up(self, attempt: Attempt, now_us: int) -> ObservedAttempt:
        """It is to leave and has no job: it ends, unless one was submitted since it was looked at.
        A job that Slurm finds again later reads the order and begins nothing."""
        with self.submitting.paused(attempt.home):
            if homes.read_submissions(attempt.home) == attempt.submissions:
                return self._release(attempt, (), now_us)
        return attempt.observed((), released_us=None)

    def _release(self, attempt: Attempt, parts: tuple[Job, ...], now_us: int) -> ObservedAttempt:
        # Read again: a member may have spoken between the look and Slurm's answer.
        attempt.look()
        seen = attempt.observed(parts, released_us=self._freed_us(attempt, parts, now_us))
        self._end(attempt.home, seen)
        return seen

    def _note_life(self, attempt: Attempt, parts: tuple[Job, ...]) -> None:
        assert self._looked_us is not None
        if freed.is_seen_live(
            parts,
            is_silent=bool(attempt.silent),
            live_us=attempt.live_us,
            back_us=self._back_us,
            looked_us=self._looked_us,
        ):
            attempt.live_us = self._looked_us

    def _freed_us(self, attempt: Attempt, parts: tuple[Job, ...], now_us: int) -> int:
        """When its seats became free, which may be seen late. Those of a node that was out of reach
        after the job was over are free from now."""
        if attempt.over_us is not None and attempt.over_us < now_us:
            return now_us
        recorded_us = None
        if not parts and attempt.live_us is None and attempt.claimed is not None:
            recorded_us = freed.recorded_us(self.commands, attempt.claimed)
        return freed.freed_us(
            parts,
            tuple(attempt.states.values()),
            live_us=attempt.live_us,
            recorded_us=recorded_us,
            now_us=now_us,
        )

    def _end(self, home: Path, seen: ObservedAttempt) -> None:
        records.write(home / homes.END, seen)

    def _is_up(self, attempt: Attempt, facts: Facts) -> dict[str, bool]:
        """Whether Slurm hears each node; asked only where that decides something."""
        is_over = facts.is_claimed and not any(part.is_live for part in facts.parts)
        if not is_over or not facts.silent:
            return dict.fromkeys(facts.silent, True)
        if attempt.over_us is None:
            attempt.over_us = self.clock.now_us()
        self._read_nodes()
        nodes = self._nodes
        return {node: node in nodes and not nodes[node].states & DOWN for node in facts.silent}

    def _end_survivors(self, attempt: Attempt, now_us: int) -> None:
        """Members may live on where slurmd does not: what is left of a job that is over is
        killed."""
        order = records.read_order(attempt.home)
        cause = Cause.OPERATOR if order is None else order.cause
        now = Stop(noticed_us=now_us, deadline_us=now_us, kill_us=now_us, cause=cause)
        merged = merge(order, now)
        if order is None or merged.kill_us < order.kill_us:
            records.write(attempt.home / records.ORDER, merged, mode=homes.READABLE)

    def _submit_again(self, attempt: Attempt) -> None:
        logger.warning("attempt %s is not in Slurm; it is submitted again", attempt.home.name)
        try:
            self.submitting.again(
                attempt.home,
                attempt.launch,
                self.nodes(NODES_KEPT_US),
                attempt.submissions,
            )
        except (InvalidSpec, NotAdmitted) as error:
            self.refuse(attempt.home, attempt.launch, error)
        except EngineError as error:
            logger.warning("attempt %s is not submitted: %s", attempt.home.name, error)

    def _cancel(self, attempt: Attempt, numbers: Iterable[int]) -> None:
        account = attempt.launch.account if attempt.launch.is_other_user else None
        for number in numbers:
            try:
                self.submitting.acting.cancel(number, account)
            except EngineError as error:
                logger.warning("job %s is not cancelled: %s", number, error)

    def _read_nodes(self) -> None:
        self._nodes = answers.nodes(self.commands.run("sinfo", "--json"))
        self._nodes_us = self.clock.now_us()


def marked(jobs: Iterable[Job]) -> dict[str, list[tuple[Job, ...]]]:
    """Jobs with our mark by the word of each submission, with their parts in order."""
    by_leader: dict[int, list[Job]] = {}
    for job in jobs:
        if job.is_marked:
            by_leader.setdefault(job.leader, []).append(job)
    found: dict[str, list[tuple[Job, ...]]] = {}
    for parts in by_leader.values():
        parts.sort(key=lambda it: it.number)
        found.setdefault(nonce_of(parts[0]), []).append(tuple(parts))
    return found


def nonce_of(job: Job) -> str:
    """The word of its submission, of a job with our mark."""
    return job.comment.rpartition(":")[2]


def strangers(
    others: Iterable[Job], known: Collection[str], since: Mapping[int, int], *, now_us: int
) -> tuple[Job, ...]:
    """Those that are certainly none of ours, of jobs that no attempt here has. One with a mark that
    is not `known` may be of an attempt that was made known since the names were read: it counts a
    few seconds after it was seen first (`since`). A known mark on a job of another user was copied.
    """
    return tuple(
        job
        for job in others
        if not job.is_marked or nonce_of(job) in known or now_us - since[job.number] >= STRANGE_US
    )


def ours(
    by_nonce: Mapping[str, list[tuple[Job, ...]]], nonces: Iterable[str], *, uid: int
) -> list[tuple[Job, ...]]:
    """The jobs of an attempt's submissions. The mark can be read, and so written by another user:
    only those of the attempt's own count."""
    found = [parts for nonce in nonces for parts in by_nonce.get(nonce, ())]
    return [parts for parts in found if all(part.uid == uid for part in parts)]
