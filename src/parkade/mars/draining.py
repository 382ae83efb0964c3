"""Drains what verdicts ask for: one node at a time, in the order of the verdicts, beside the loop.

Theory of operation. A drain runs commands of the cluster, which may hang until their time-out, and
meanwhile logs must be read. So each drain runs in a thread of its own, and `go_on`, which the loop
calls, takes its outcome and begins the next one. The guards are asked when a drain's turn comes and
not with its verdict: only then is it known what became of all before it. So the budgets are as
exact as if nothing took time. A drain that was refused, since a person drained the node or the
cluster has enough drained nodes, gives back what it took of them; one whose command failed may have
drained and keeps it, and is asked for again each round while its verdict stands.

What a budget, a missing second source, a person's drain or the cluster's number of drained nodes
held is asked for again when that is over and its verdict still stands: once, before all that came
later. Whether it is over is a question that changes no budget and opens no breaker; where only the
cluster knows, a command asks it, at most each `AGAIN_US`: where a guard would hold the drain by
now, without draining, so that the reason that people read is the present one. What was held since a
rack, switch, fabric or driver is suspected is not asked for again: the cause is looked for there,
by people.

A drain that was begun and not seen to be done, by this program or the one before, is looked for in
the cluster; so are the drains of ours, which a person may have lifted (`looking`).

Worked example. Budget of one node. n0 and n1 fail within a second; a person has drained n0. n0's
drain begins, n1 waits. n0's is refused and gives the budget back; n1's turn comes, and it is
drained. Had n0 been drained, n1 would be held for the budget, and drained when an hour has passed.

At most the standing verdicts wait. Nothing is drained for a verdict that stands no more.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import assert_never

import structlog

from parkade.core.healing.guards import HoldReason
from parkade.core.healing.verdict import Verdict
from parkade.core.healing.watch import FleetWatch
from parkade.mars.aside import Aside
from parkade.mars.drain_journal import DrainError
from parkade.mars.drains import (
    DrainDone,
    DrainNotBegun,
    DrainRefused,
    Drains,
    DrainStands,
    NotRefused,
    RefusalReason,
    RunningCommand,
)
from parkade.mars.holding import FAILED, GuardWords, Held
from parkade.mars.looking import DrainLooks, Refusals
from parkade.mars.metrics import Metrics
from parkade.mars.under_way import Drain, Find, Look, UnderWay, verdict_of

MOST_DRAINED = RefusalReason.MOST_DRAINED.value
REFUSED = frozenset(each.value for each in RefusalReason)


class Draining:
    """See the module. `held` says why the action of a verdict waits, by its name."""

    def __init__(
        self,
        drains: Drains,
        watch: FleetWatch,
        metrics: Metrics,
        *,
        stands: Callable[[str], bool],
        words: GuardWords,
    ) -> None:
        self.held: dict[str, Held] = {}
        self._drains = drains
        self._watch = watch
        self._metrics = metrics
        self._stands = stands
        self._words = words
        self._log = structlog.get_logger("parkade.mars")
        self._turns: dict[str, int] = {}
        self._waiting: dict[str, Verdict] = {}
        self._failed: dict[str, Verdict] = {}
        self._again: dict[str, Verdict] = {}
        self._suspected: dict[str, Verdict] = {}
        self._refusals = Refusals()
        self._under_way: UnderWay | None = None
        self._looks = DrainLooks()
        self._answers = True
        self._shown: frozenset[str] = frozenset()
        self._stopping = threading.Event()
        self._show()

    @property
    def is_under_way(self) -> bool:
        """Whether a drain is running."""
        return self._under_way is not None

    @property
    def is_settled(self) -> bool:
        """Whether every drain that was asked for is done, refused or held."""
        return not (self._verdict or self._waiting or self._failed)

    @property
    def _verdict(self) -> Verdict | None:
        return verdict_of(self._under_way)

    @property
    def unfinished(self) -> dict[str, Held | None]:
        """By verdict, in their order: the drains that are to be asked for again, also by the next
        program, and those that wait for a person since a parent is suspected; and what holds them,
        as far as that is known."""
        pending = {**self._suspected, **self._again, **self._failed, **self._waiting}
        if self._verdict is not None:
            pending[self._verdict.verdict] = self._verdict
        names = sorted(filter(self._stands, pending), key=self._turns.__getitem__)
        return {name: self.held.get(name) for name in names}

    def resume(
        self, verdicts: Mapping[str, Verdict], unfinished: Mapping[str, Held | None]
    ) -> None:
        """What the program before this one had not finished, of verdicts that stand."""
        for name, why in unfinished.items():
            self._turns[name] = self._next_turn()
            if why is not None:
                self.held[name] = why
            if why is not None and why.code == HoldReason.PARENT_SUSPECTED:
                self._suspected[name] = verdicts[name]
            else:
                self._again[name] = verdicts[name]

    def suspect(self, verdict: Verdict) -> None:
        """A verdict on which nothing is done since a parent of its node is suspected."""
        self._turns.setdefault(verdict.verdict, self._next_turn())
        self._suspected[verdict.verdict] = verdict
        reason = HoldReason.PARENT_SUSPECTED
        self.held[verdict.verdict] = self._words.held(reason, verdict)

    def ask(self, verdict: Verdict) -> None:
        """Asks for a drain; it takes the turn of the verdict that it supersedes."""
        before = self._turns.get(verdict.supersedes or "")
        self._turns[verdict.verdict] = self._next_turn() if before is None else before
        self._waiting.pop(verdict.supersedes or "", None)
        self._wait([verdict])

    def _next_turn(self) -> int:
        """Behind all that have one. Costs the verdicts that have a turn."""
        return max(self._turns.values(), default=0) + 1

    def try_again(self, now_us: int) -> None:
        """Once a round: asks again for drains whose command failed, and as `ask_held`."""
        self._failed = {name: it for name, it in self._failed.items() if self._stands(name)}
        running = None if self._verdict is None else self._verdict.verdict
        self._wait(it for name, it in self._failed.items() if name != running)
        self._looks.new_round()
        self.ask_held(now_us)

    def returned(self, nodes: Collection[str]) -> None:
        """The engine tells that these are drained no more: what was refused since they, or so many
        nodes, are drained may be asked again, and one of ours was lifted."""
        if nodes:
            self._looks.look_now(nodes)
        for name, verdict in self._again.items() if nodes else ():
            why = self.held.get(name)
            if verdict.node in nodes or (why is not None and why.code == MOST_DRAINED):
                self._refusals.forget(name)

    def ask_held(self, now_us: int) -> None:
        """Asks again for drains that nothing holds any more."""
        self._again = {name: it for name, it in self._again.items() if self._stands(name)}
        self._wait(self._due(now_us))

    def _wait(self, verdicts: Iterable[Verdict]) -> None:
        """Puts verdicts among those that wait, by their turns."""
        waiting = self._waiting | {each.verdict: each for each in verdicts}
        self._waiting = {
            name: waiting[name] for name in sorted(waiting, key=self._turns.__getitem__)
        }

    def _due(self, now_us: int) -> list[Verdict]:
        """Drains that were held and may go now, or whose cluster is to be asked whether they may.
        One whose command has failed since waits for `try_again`. Costs all that are held."""
        running = None if self._verdict is None else self._verdict.verdict
        return [
            it
            for name, it in self._again.items()
            if name != running
            and name not in self._failed
            and self._refusals.may_ask(name, now_us)
            and self._watch.still_holds(it, now_us) is None
        ]

    def go_on(self, now_us: int) -> bool:
        """Takes the outcome of the drain under way, if it has one, and begins those whose turn it
        is; true where anything came of it."""
        has_changed = self._take(now_us)
        unsure = () if self._under_way is not None else self._drains.expected(now_us)
        self._find(self._looks.first(unsure), now_us)
        if self._waiting and self._under_way is None:
            self.ask_held(now_us)
        while self._under_way is None and self._waiting and not self._stopping.is_set():
            verdict = self._waiting.pop(next(iter(self._waiting)))
            if not self._stands(verdict.verdict):
                continue
            has_changed = True
            held = None
            if verdict.verdict in self._again:
                held = self._watch.still_holds(verdict, now_us)
            held = held or self._watch.permit(verdict, now_us)
            if held is not None:
                self._hold_by_guard(verdict, held)
                continue
            words = f"{verdict.level.value} {verdict.signal}"
            call = partial(self._drains.drain, verdict.node, verdict.verdict, words, now_us)
            self._begin(Drain(verdict, Aside(call)))
        if self._under_way is None and not self._stopping.is_set():
            self._look(now_us)
        if self._under_way is None:
            self._find(self._looks.next(unsure, self._drains.done, now_us), now_us)
        return has_changed

    def _find(self, node: str | None, now_us: int) -> None:
        """Asks the cluster whether a drain of ours stands on a node."""
        if node is not None and not self._stopping.is_set():
            self._looks.looked(node, now_us)
            self._begin(Find(node, Aside(partial(self._drains.find, node))))

    def _begin(self, under_way: UnderWay) -> None:
        self._under_way = under_way
        under_way.call.start()

    def _look(self, now_us: int) -> None:
        """Asks the cluster whether it still refuses a drain that a guard would hold by now."""
        for name, verdict in self._again.items():
            why = self.held.get(name)
            is_refused = why is not None and why.code in REFUSED
            if is_refused and self._stands(name) and self._refusals.may_ask(name, now_us):
                self._begin(Look(verdict, Aside(partial(self._drains.look, verdict.node))))
                return

    def finish(self, now: Callable[[], int]) -> None:
        """Until no drain is under way or waits its turn."""
        while self.go_on(now()) or self._under_way is not None:
            if self._under_way is not None:
                self._under_way.call.wait()

    def forget(self) -> None:
        """What is held of verdicts that stand no more."""
        self.held = {name: why for name, why in self.held.items() if self._stands(name)}
        self._refusals.keep(self._stands)
        self._suspected = {name: it for name, it in self._suspected.items() if self._stands(name)}
        known = {
            **self._suspected,
            **self._again,
            **self._failed,
            **self._waiting,
        }.keys() | self.held.keys()
        if self._verdict is not None:
            known |= {self._verdict.verdict}
        self._turns = {name: turn for name, turn in self._turns.items() if name in known}

    @property
    def running(self) -> RunningCommand | None:
        """The command of a drain that runs now."""
        return self._drains.running

    def close(self, now_us: int) -> None:
        """Begins nothing more, and waits for the command that is under way, which is bounded."""
        self._stopping.set()
        self._drains.stop()
        if self._under_way is not None:
            self._under_way.call.wait()
            self._take(now_us)

    def _take(self, now_us: int) -> bool:
        """Takes the outcome of what is under way; false where there is none yet."""
        if self._under_way is None or not self._under_way.call.is_done:
            return False
        ended, self._under_way = self._under_way, None
        match ended:
            case Drain():
                self._drained(ended, now_us)
            case Look():
                self._looked(ended, now_us)
            case Find():
                self._found(ended)
            case _:
                assert_never(ended)
        return True

    def _drained(self, ended: Drain, now_us: int) -> None:
        """What came of a drain."""
        verdict, name = ended.verdict, ended.verdict.verdict
        self._looks.looked(verdict.node, now_us)
        try:
            outcome = ended.call.take()
        except DrainError as error:
            self._failed[name] = verdict
            if not isinstance(error, DrainNotBegun):
                self._metrics.drains.labels("failed").inc()
                self._hold(verdict, Held(FAILED, str(error)))
            return
        assert outcome is not None, "it has ended"
        self._failed.pop(name, None)
        self._again.pop(name, None)
        match outcome:
            case DrainDone(mark=mark):
                self.held.pop(name, None)
                self._metrics.drains.labels("done").inc()
                words = f"{verdict.level.value} {verdict.signal}"
                self._log.warning("drained", node=verdict.node, why=words, mark=mark)
            case DrainStands():
                self.held.pop(name, None)
                self._watch.give_back()
            case DrainRefused(reason=reason, why=why):
                self._watch.give_back()
                self._again[name] = verdict
                self._refusals.asked(name, now_us)
                if self._hold(verdict, Held(reason.value, why)):
                    self._metrics.drains.labels("refused").inc()
                    self._metrics.refused.labels(reason.value).inc()
            case _:
                assert_never(outcome)
        self._show()

    def _looked(self, ended: Look, now_us: int) -> None:
        """What the cluster said of a drain that was held."""
        verdict, name = ended.verdict, ended.verdict.verdict
        try:
            outcome = ended.call.take()
        except DrainError:
            self._refusals.asked(name, now_us)
            return
        assert outcome is not None, "it has ended"
        if name not in self._again:
            return
        match outcome:
            case DrainRefused(reason=reason, why=why):
                self._refusals.asked(name, now_us)
                self._hold(verdict, Held(reason.value, why))
            case NotRefused():
                self._refusals.forget(name)
                guard = self._watch.still_holds(verdict, now_us)
                if guard is not None:
                    self._hold_by_guard(verdict, guard)
            case _:
                assert_never(outcome)

    def _found(self, ended: Find) -> None:
        """What the cluster said of a drain of ours."""
        try:
            found = ended.call.take()
        except DrainError as error:
            if self._answers:
                self._log.warning("drains cannot be looked up", node=ended.node, why=str(error))
            self._answers = False
            return
        self._answers = True
        was_shown = ended.node in self._shown
        if found is not None:
            for pending in (self._waiting, self._failed, self._again, self._suspected, self.held):
                pending.pop(found.verdict, None)
        if found is not None and not was_shown:
            self._metrics.drains.labels("done").inc()
            why = "a mark of ours stands as its reason"
            self._log.warning("drained", node=ended.node, why=why, mark=found.mark)
        elif found is None and was_shown:
            self._log.info("drain was lifted by another", node=ended.node)
        self._show()

    def _hold_by_guard(self, verdict: Verdict, reason: HoldReason) -> None:
        if reason is HoldReason.PARENT_SUSPECTED:
            self._again.pop(verdict.verdict, None)
            self._suspected[verdict.verdict] = verdict
        else:
            self._again[verdict.verdict] = verdict
        if self._hold(verdict, self._words.held(reason, verdict)):
            self._metrics.held.labels(reason.value).inc()

    def _show(self) -> None:
        own = self._drains.own
        self._shown = frozenset(each.node for each in own)
        self._metrics.drained.set(len(own))
        self._metrics.drained_nodes.now({(each.node,): 1 for each in own})

    def _hold(self, verdict: Verdict, why: Held) -> bool:
        """Each reason is told once; whether it is told now."""
        before = self.held.get(verdict.verdict)
        is_new = before is None or before.code != why.code or (why.code == FAILED and before != why)
        if is_new:
            tell = self._log.error if why.code == FAILED else self._log.warning
            event = "drain failed" if why.code == FAILED else "not drained"
            tell(event, node=verdict.node, signal=verdict.signal, why=why.words)
        self.held[verdict.verdict] = why
        return is_new
