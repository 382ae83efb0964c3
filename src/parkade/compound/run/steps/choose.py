"""Steps of what chooses among candidates without a model: vote and cluster.

Both keep one candidate and a count for each group, so that a million candidates in a few groups
cost the memory of a few.
"""

from collections.abc import Generator
from typing import Any

from parkade.compound.models.protocol import Failure
from parkade.compound.run.frame import Frame, Steps
from parkade.compound.run.given import Use
from parkade.compound.run.orders import Came, Event, Finished, Item, Over

MAX_GROUPS = 1_000_000


def vote(frame: Frame) -> Steps:
    """The first candidate of the largest group."""
    groups = yield from _groups(frame)
    if groups:
        frame.note(f"vote: {tally([size for size, _ in groups])}")
        frame.emit(max(groups, key=lambda group: group[0])[1])


def tally(sizes: list[int]) -> str:
    """How the votes fell, and whether the largest group is alone."""
    most, rest = max(sizes), sorted(sizes, reverse=True)[1:4]
    tally_text = f"{most:,} of {sum(sizes):,} for the answer"
    if rest:
        tally_text += f", then {', '.join(f'{size:,}' for size in rest)}"
    tied = sizes.count(most)
    return (
        tally_text if tied == 1 else f"{tally_text}; a tie of {tied:,}: the first to come was taken"
    )


def cluster(frame: Frame) -> Steps:
    """The first candidate of each group, the largest group first."""
    groups = yield from _groups(frame)
    groups.sort(key=lambda group: -group[0])
    for _, item in groups[: frame.node.operator.keep]:
        frame.emit(item)


def _groups(frame: Frame) -> Generator[None, Event, list[tuple[int, Item]]]:
    """(size, first candidate) of each group, in the order of their first arrival."""
    source = frame.upstream
    assert source is not None
    groups: dict[Any, list[Any]] = {}
    keyed: dict[int, Item] = {}
    is_dry = False
    arrival = 0
    order: dict[int, int] = {}

    def add(key: Any, item: Item, place: int) -> None:
        group = groups.get(key)
        if group is None:
            if len(groups) < MAX_GROUPS:
                groups[key] = [1, item, place]
            return
        group[0] += 1
        if place < group[2]:
            group[1], group[2] = item, place

    for _ in range(frame.width):
        frame.pull(source)
    while not is_dry or keyed:
        event = yield
        match event:
            case Came(source=came, item=item) if came is source:
                arrival += 1
                if frame.node.function is None:
                    add(item.candidate.text.strip(), item, arrival)
                    frame.pull(source)
                else:
                    ticket = frame.apply(
                        Use.KEY, frame.node.function, frame.question, item.candidate
                    )
                    keyed[ticket] = item
                    order[ticket] = arrival
            case Over(source=ended) if ended is source:
                is_dry = True
            case Finished(ticket=ticket, value=value):
                item = keyed.pop(ticket)
                place = order.pop(ticket)
                if not isinstance(value, Failure):
                    add(value, item, place)
                if not is_dry:
                    frame.pull(source)
            case _:
                pass
    return [(size, item) for size, item, _ in sorted(groups.values(), key=lambda g: int(g[2]))]
