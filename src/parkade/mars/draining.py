"""Drains what verdicts ask for: one node at a time, in the order of the verdicts, beside the loop.

Theory of operation. A drain runs commands of the cluster, which may hang until their time-out, and
meanwhile logs must be read. So each drain runs in a thread of its own, and `go_on`, which the loop
calls, takes its outcome and begins the next one. The guards are asked when a drain's turn comes and
not with its verdict: only then is it known what became of all before it. So the budgets are as
exact as if nothing took time. A drain that was refused, since a person drained the node or the
cluster has enough drained nodes, gives back what it took of them; one whose command failed may have
drained and keeps it, and is asked for again each round while its verdict stands.

Worked example. Budget of one node. n0 and n1 fail within a second; a person has drained n0. n0's
drain begins, n1 waits. n0's is refused and gives the budget back; n1's turn comes, and it is
drained. Had n0 been drained, n1 would be held for the budget.

At most the standing verdicts wait. Nothing is drained for a verdict that stands no more.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import structlog

from parkade.core.healing.verdict import Verdict
from parkade.core.healing.watch import FleetWatch
from parkade.mars.aside import Aside
from parkade.mars.drains import (
    DrainDone,
    DrainError,
    DrainNotBegun,
    DrainRefused,
    Drains,
    DrainStands,
)
from parkade.mars.metrics import Metrics

Outcome = DrainDone | DrainStands | DrainRefused


class Held(NamedTuple):
    """Why an action waits: a code, which is a label of metrics, and words for people."""

    code: str
    words: str


FAILED = "drain_failed"


class Draining:
    """See the module. `held` says why the action of a verdict waits, by its name."""

    def __init__(
        self,
        drains: Drains,
        watch: FleetWatch,
        metrics: Metrics,
        *,
        stands: Callable[[str], bool],
    ) -> None:
        self.held: dict[str, Held] = {}
        self._drains = drains
        self._watch = watch
        self._metrics = metrics
        self._stands = stands
        self._log = structlog.get_logger("parkade.mars")
        self._waiting: dict[str, Verdict] = {}
        self._failed: dict[str, Verdict] = {}
        self._under_way: tuple[Verdict, Aside[Outcome]] | None = None
        self._stopping = threading.Event()
        self._show()

    @property
    def is_under_way(self) -> bool:
        """Whether a drain is running."""
        return self._under_way is not None

    @property
    def is_settled(self) -> bool:
        """Whether every drain that was asked for is done, refused or held."""
        return not (self._under_way or self._waiting or self._failed)

    def ask(self, verdict: Verdict) -> None:
        """Asks for a drain; it takes the turn of the verdict that it supersedes."""
        if verdict.supersedes in self._waiting:
            turns = self._waiting.items()
            self._waiting = {
                new.verdict: new
                for new in (verdict if name == verdict.supersedes else old for name, old in turns)
            }
        else:
            self._waiting[verdict.verdict] = verdict

    def try_again(self) -> None:
        """Asks again for drains whose command failed."""
        self._failed = {name: it for name, it in self._failed.items() if self._stands(name)}
        for verdict in self._failed.values():
            if self._under_way is None or self._under_way[0].verdict != verdict.verdict:
                self._waiting.setdefault(verdict.verdict, verdict)

    def go_on(self, now_us: int) -> bool:
        """Takes the outcome of the drain under way, if it has one, and begins those whose turn it
        is; true where anything came of it."""
        has_changed = self._take()
        while self._under_way is None and self._waiting and not self._stopping.is_set():
            verdict = self._waiting.pop(next(iter(self._waiting)))
            if not self._stands(verdict.verdict):
                continue
            has_changed = True
            held = self._watch.permit(verdict, now_us)
            if held is not None:
                self._metrics.held.labels(held.value).inc()
                self._hold(verdict, Held(held.value, held.value))
                continue
            words = f"{verdict.level.value} {verdict.signal}"
            call = partial(self._drains.drain, verdict.node, verdict.verdict, words, now_us)
            drain = Aside[Outcome](call)
            self._under_way = (verdict, drain)
            drain.start()
        return has_changed

    def finish(self, now: Callable[[], int]) -> None:
        """Until no drain is under way or waits its turn."""
        while self.go_on(now()) or self._under_way is not None:
            if self._under_way is not None:
                self._under_way[1].wait()

    def forget(self) -> None:
        """What is held of verdicts that stand no more."""
        self.held = {name: why for name, why in self.held.items() if self._stands(name)}

    def close(self) -> None:
        """Begins nothing more, and waits for the command that is under way, which is bounded."""
        self._stopping.set()
        self._drains.stop()
        if self._under_way is not None:
            self._under_way[1].wait()
            self._take()

    def _take(self) -> bool:
        if self._under_way is None or not self._under_way[1].is_done:
            return False
        (verdict, drain), self._under_way = self._under_way, None
        try:
            outcome = drain.take()
        except DrainError as error:
            self._failed[verdict.verdict] = verdict
            if not isinstance(error, DrainNotBegun):
                self._metrics.drains.labels("failed").inc()
                self._hold(verdict, Held(FAILED, str(error)))
            return True
        assert outcome is not None
        self._failed.pop(verdict.verdict, None)
        match outcome:
            case DrainDone(mark=mark):
                self.held.pop(verdict.verdict, None)
                self._metrics.drains.labels("done").inc()
                words = f"{verdict.level.value} {verdict.signal}"
                self._log.warning("drained", node=verdict.node, why=words, mark=mark)
            case DrainStands():
                self.held.pop(verdict.verdict, None)
                self._watch.give_back()
            case DrainRefused(reason=reason, why=why):
                self._watch.give_back()
                self._metrics.drains.labels("refused").inc()
                self._metrics.refused.labels(reason.value).inc()
                self._hold(verdict, Held(reason.value, why))
        self._show()
        return True

    def _show(self) -> None:
        own = self._drains.own
        self._metrics.drained.set(len(own))
        self._metrics.drained_nodes.now({(each.node,): 1 for each in own})

    def _hold(self, verdict: Verdict, why: Held) -> None:
        """Each reason is told once."""
        if self.held.get(verdict.verdict) != why:
            tell = self._log.error if why.code == FAILED else self._log.warning
            event = "drain failed" if why.code == FAILED else "not drained"
            tell(event, node=verdict.node, signal=verdict.signal, why=why.words)
        self.held[verdict.verdict] = why
