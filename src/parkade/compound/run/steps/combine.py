"""Steps of what combines sources: side by side, repeated, raced, in cascade, by route."""

from collections import deque
from collections.abc import Iterator

from parkade.compound.models.protocol import Failure
from parkade.compound.network.digest import function_name
from parkade.compound.network.errors import NetworkError
from parkade.compound.run.frame import Frame, Steps
from parkade.compound.run.given import Use
from parkade.compound.run.orders import Came, Finished, Item, Over, Pulled
from parkade.compound.run.steps.parts import verdict_of


class _Sources:
    """Open sources and the pulls outstanding at each; the begun come before new ones."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.pulls: dict[Frame, int] = {}
        self.outstanding = 0
        self._idle: deque[Frame] = deque()
        self._round: deque[Frame] = deque()

    def add(self, source: Frame) -> None:
        self.pulls[source] = 0
        self._idle.append(source)
        self._round.append(source)

    def pull_idle(self) -> bool:
        """Pull a source at which nothing is outstanding, if there is one."""
        while self._idle:
            source = self._idle.popleft()
            if self.pulls.get(source) == 0:
                self._pull(source)
                return True
        return False

    def pull_next(self) -> bool:
        """Pull the source whose turn it is, if any is open."""
        while self._round:
            source = self._round[0]
            if source in self.pulls:
                self._round.rotate(-1)
                self._pull(source)
                return True
            self._round.popleft()
        return False

    def came(self, source: Frame) -> None:
        self.outstanding -= 1
        self.pulls[source] -= 1
        if self.pulls[source] == 0:
            self._idle.append(source)

    def over(self, source: Frame) -> None:
        self.outstanding -= self.pulls.pop(source)

    def _pull(self, source: Frame) -> None:
        self.pulls[source] += 1
        self.outstanding += 1
        self.frame.pull(source)


def ensemble(frame: Frame) -> Steps:
    """All parts side by side; what is wanted goes round among them."""
    sources = _Sources(frame)
    for child in frame.node.children:
        sources.add(frame.open(child, frame.draw, frame.given))
    return _merge(frame, sources, iter(()))


def repeat(frame: Frame) -> Steps:
    """One draw after the other, as many at once as are wanted."""
    times = frame.node.operator.times
    child = frame.node.children[0]
    draws = (frame.open(child, frame.draw * times + turn, frame.given) for turn in range(times))
    return _merge(frame, _Sources(frame), draws)


def _merge(frame: Frame, sources: _Sources, fresh: Iterator[Frame]) -> Steps:
    """Emit what open sources give; begin a fresh one when all open ones are busy."""
    while True:
        while sources.outstanding < frame.demand:
            if sources.pull_idle():
                continue
            begun = next(fresh, None)
            if begun is not None:
                sources.add(begun)
            elif not sources.pull_next():
                return
        event = yield
        match event:
            case Came(source=source, item=item):
                sources.came(source)
                frame.emit(item)
            case Over(source=source):
                sources.over(source)
            case _:
                pass


def for_each(frame: Frame) -> Steps:
    """A source behind another operator: one run of it for each candidate that arrives."""
    upstream = frame.upstream
    assert upstream is not None
    sources = _Sources(frame)
    pulled = 0
    is_dry = False
    while True:
        while sources.outstanding + pulled < frame.demand:
            if sources.pull_idle():
                continue
            if not is_dry:
                frame.pull(upstream)
                pulled += 1
            elif not sources.pull_next():
                return
        event = yield
        match event:
            case Came(source=source, item=item) if source is upstream:
                pulled -= 1
                sources.add(frame.open(frame.node, frame.draw, item))
            case Came(source=source, item=item):
                sources.came(source)
                frame.emit(item)
            case Over(source=source) if source is upstream:
                is_dry = True
                pulled = 0
            case Over(source=source):
                sources.over(source)
            case _:
                pass


def race(frame: Frame) -> Steps:
    """The first candidate of any part; the end of this frame cancels the others."""
    parts = [frame.open(child, frame.draw, frame.given) for child in frame.node.children]
    for part in parts:
        frame.pull(part)
    running = len(parts)
    while running:
        event = yield
        match event:
            case Came(item=item):
                frame.missing = 0
                frame.emit(item)
                return
            case Over():
                running -= 1
            case Finished() | Pulled():
                pass


def cascade(frame: Frame) -> Steps:
    """Step by step until a candidate is accepted; what the last step makes is given on."""
    last: Item | None = None
    for child in frame.node.children:
        source = frame.open(child, frame.draw, frame.given)
        while True:
            frame.pull(source)
            event = yield
            if isinstance(event, Over):
                break
            assert isinstance(event, Came)
            ticket = frame.check(frame.node.checker, event.item.candidate)
            finished = yield
            assert isinstance(finished, Finished)
            assert finished.ticket == ticket
            last = Item(event.item.candidate, verdict_of(finished.value))
            if verdict_of(finished.value).is_accepted:
                frame.emit(last)
                return
    if last is not None:
        frame.emit(last)


def route(frame: Frame) -> Steps:
    """The way that the function names; a name without a way is an error of the function."""
    assert frame.node.function is not None
    frame.apply(Use.WAY, frame.node.function, frame.question)
    event = yield
    assert isinstance(event, Finished)
    if isinstance(event.value, Failure):
        return
    child = frame.node.routes.get(event.value)
    if child is None:
        raise NetworkError(
            f"{function_name(frame.node.function)} names the way {event.value!r}; "
            f"there are: {', '.join(sorted(frame.node.routes))}"
        )
    source = frame.open(child, frame.draw, frame.given)
    for _ in range(frame.width):
        frame.pull(source)
    while True:
        event = yield
        match event:
            case Came(item=item):
                frame.emit(item)
                frame.pull(source)
            case Over():
                return
            case _:
                pass
