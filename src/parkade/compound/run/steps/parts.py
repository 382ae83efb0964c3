"""Pieces that several operators' steps are made of."""

from collections.abc import Generator, Sequence
from typing import Any

from parkade.compound.models.answers import refusal_of
from parkade.compound.models.protocol import bounded
from parkade.compound.network.request import Request
from parkade.compound.run.frame import Frame
from parkade.compound.run.orders import Came, Event, Finished, Item, Over
from parkade.compound.values import Candidate, Completion, Verdict

MAX_COLLECTED = 100_000


def collect(frame: Frame, source: Frame) -> Generator[None, Event, list[Item]]:
    """All candidates of a source, at most MAX_COLLECTED; the rest is not asked for."""
    items: list[Item] = []
    for _ in range(frame.width):
        frame.pull(source)
    while len(items) < MAX_COLLECTED:
        event = yield
        match event:
            case Came(source=came, item=item) if came is source:
                items.append(item)
                frame.pull(source)
            case Over(source=ended) if ended is source:
                break
            case _:
                pass
    return items


def ask_all(
    frame: Frame, asks: Sequence[tuple[Request, int]], about: Sequence[str] = ()
) -> Generator[None, Event, list[str | None]]:
    """The texts of many calls in their order, None for a call that failed.

    `about` has the key of the candidate that each call is about, where each is about one.
    """
    completions = yield from complete_all(frame, asks, about)
    return [None if each is None else each.text for each in completions]


def complete_all(
    frame: Frame, asks: Sequence[tuple[Request, int]], about: Sequence[str] = ()
) -> Generator[None, Event, list[Completion | None]]:
    """What came of many calls in their order, as in `ask_all`."""
    assert not about or len(about) == len(asks)
    found: list[Completion | None] = [None] * len(asks)
    waiting: dict[int, int] = {}
    begun = 0
    while begun < len(asks) or waiting:
        while begun < len(asks) and len(waiting) < frame.width:
            request, sample = asks[begun]
            of = about[begun] if about else None
            waiting[frame.ask(request.call(sample), of)] = begun
            begun += 1
        event = yield
        if isinstance(event, Finished) and event.ticket in waiting:
            place = waiting.pop(event.ticket)
            if isinstance(event.value, Completion):
                found[place] = event.value
    return found


def candidate_of(completion: Completion, text: str, model: str, sample: int, key: str) -> Candidate:
    """What a completion is as a candidate, with its text as it was read."""
    return Candidate(
        text=text,
        model=model,
        sample=sample,
        key=key,
        finish=completion.finish,
        refusal="" if completion.message is None else bounded(refusal_of(completion.message)),
    )


def verdict_of(value: Any) -> Verdict:
    """What a checker said; a failure of the checker accepts nothing."""
    if isinstance(value, Verdict):
        return value
    return Verdict(
        is_accepted=False, reason=f"the verifier failed: {getattr(value, 'message', '')}"
    )
