"""Steps of what lets candidates through one by one: filter, verify, best of k."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from parkade.compound.network.operators import BestOf
from parkade.compound.run.frame import Frame, Steps
from parkade.compound.run.given import Use
from parkade.compound.run.noted import GIVEN_UP
from parkade.compound.run.orders import Came, Finished, Item, Over
from parkade.compound.run.steps.parts import verdict_of
from parkade.compound.values import Verdict

if TYPE_CHECKING:
    from parkade.compound.evaluate.adaptive import AdaptiveStop


def filter_(frame: Frame) -> Steps:
    """Candidates for which the function is true; one for which it fails is dropped."""
    assert frame.node.function is not None
    function = frame.node.function
    return _sieve(
        frame,
        begin=lambda item: frame.apply(Use.KEEP, function, frame.question, item.candidate),
        passed=lambda item, value: item if value is True else None,
    )


def verify(frame: Frame) -> Steps:
    """Candidates that the checker accepts."""

    def passed(item: Item, value: object) -> Item | None:
        verdict = verdict_of(value)
        return Item(item.candidate, verdict) if verdict.is_accepted else None

    return _sieve(
        frame,
        begin=lambda item: frame.check(frame.node.checker, item.candidate),
        passed=passed,
    )


def _sieve(
    frame: Frame,
    *,
    begin: Callable[[Item], int],
    passed: Callable[[Item, object], Item | None],
) -> Steps:
    source = frame.upstream
    assert source is not None
    pulled = 0
    running: dict[int, Item] = {}
    is_dry = False
    while True:
        while not is_dry and pulled + len(running) < frame.demand:
            frame.pull(source)
            pulled += 1
        if is_dry and not running:
            return
        event = yield
        match event:
            case Came(source=came, item=item) if came is source:
                pulled -= 1
                running[begin(item)] = item
            case Over(source=ended) if ended is source:
                is_dry = True
                pulled = 0
            case Finished(ticket=ticket, value=value):
                through = passed(running.pop(ticket), value)
                if through is not None:
                    frame.emit(through)
            case _:
                pass


class _Rejected:
    """What is kept of rejected candidates for the fallback: one, or a count for each text."""

    def __init__(self, fallback: str, seed: str) -> None:
        self.fallback = fallback
        self.kept: Item | None = None
        self._seen = 0
        self._random = random.Random(seed)
        self._counts: dict[str, tuple[int, Item]] = {}

    def add(self, item: Item) -> None:
        self._seen += 1
        if self.fallback == "vote":
            text = item.candidate.text.strip()
            count, first = self._counts.get(text, (0, item))
            self._counts[text] = (count + 1, first)
        elif self.kept is None or (
            # Each of the n seen so far is kept with probability 1/n.
            self.fallback == "random" and self._random.randrange(self._seen) == 0
        ):
            self.kept = item

    def choice(self) -> Item | None:
        if self.fallback == "abstain":
            return None
        if self.fallback == "vote" and self._counts:
            return max(self._counts.values(), key=lambda counted: counted[0])[1]
        return self.kept


def best_of(frame: Frame) -> Steps:
    """Draw and verify until one is accepted, or all k are seen; then the fallback.

    With `worth`, also until so many have failed that the next is not worth its price.
    """
    operator: BestOf = frame.node.operator
    width = min(operator.parallel or frame.width, frame.width)
    source = frame.open(frame.node.children[0], frame.draw, frame.given)
    rejected = _Rejected(operator.fallback, f"{frame.question.id}/{frame.node.index}/{frame.draw}")
    best: Item | None = None
    pulled = failures = 0
    checking: dict[int, Item] = {}
    is_dry = False
    while not is_dry or checking:
        most = _most_in_flight(frame.node.patience, failures, width)
        if most == 0:
            frame.note(f"best of: {GIVEN_UP}, after {failures:,} rejected; more was not worth it")
            break
        while not is_dry and pulled + len(checking) < most:
            frame.pull(source)
            pulled += 1
        event = yield
        match event:
            case Came(item=item):
                pulled -= 1
                checking[frame.check(frame.node.checker, item.candidate)] = item
            case Over():
                is_dry = True
                pulled = 0
            case Finished(ticket=ticket, value=value):
                verdict = verdict_of(value)
                seen = Item(checking.pop(ticket).candidate, verdict)
                if not verdict.is_accepted:
                    failures += 1
                    rejected.add(seen)
                elif operator.stop == "first":
                    _learn(frame.node.patience, failures, is_solved=True)
                    # What has not come would have been cancelled.
                    frame.missing = 0
                    frame.emit(seen)
                    return
                elif best is None or _score(verdict) > _score(best.verdict):
                    best = seen
            case _:
                pass
    if best is None:
        _learn(frame.node.patience, failures, is_solved=False)
    chosen = best or rejected.choice()
    if chosen is not None:
        frame.emit(chosen)


def _most_in_flight(patience: "AdaptiveStop | None", failures: int, width: int) -> int:
    """How many candidates may be in flight; 0 gives the question up. One is always drawn."""
    if patience is None:
        return width
    return max(0, min(width, max(1, patience.failures_allowed) - failures))


def _learn(patience: "AdaptiveStop | None", failures: int, *, is_solved: bool) -> None:
    if patience is not None:
        patience.finished(failures + is_solved, int(is_solved))


def _score(verdict: Verdict | None) -> float:
    return 0.0 if verdict is None or verdict.score is None else verdict.score
