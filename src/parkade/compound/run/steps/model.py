"""Steps of what asks a model about candidates: judge, rank, knockout, fuse, refine, verify."""

from collections import Counter
from collections.abc import Generator, Sequence
from statistics import fmean

from parkade.compound.network import wording
from parkade.compound.network.drawing import label
from parkade.compound.network.request import Request
from parkade.compound.run.frame import Frame, Steps
from parkade.compound.run.noted import COUNT_AS_REJECTIONS, COUNT_FOR_NONE
from parkade.compound.run.orders import Event, Finished, Item, Judged
from parkade.compound.run.steps.choose import tally
from parkade.compound.run.steps.parts import (
    ask_all,
    candidate_of,
    collect,
    complete_all,
    verdict_of,
)
from parkade.compound.values import MAX_REASON, Candidate, Completion, Verdict

MAX_JUDGED = 1_000
#: Votes of a judge that a note tells one by one.
MAX_VOTES = 20
#: Characters of a reply in a reason.
MAX_SHOWN = 100


def judge(frame: Frame) -> Steps:
    """The candidate with most votes; ties, and replies that name none, favour the earliest."""
    items = yield from _distinct(frame)
    if not items:
        return
    if len(items) == 1:
        frame.emit(items[0])
        return
    votes = frame.node.operator.votes
    orders = [_rotated(len(items), turn) for turn in range(votes)]
    replies = yield from ask_all(
        frame,
        [
            (_about(frame, [items[i] for i in order]), turn // len(items))
            for turn, order in enumerate(orders)
        ],
    )
    counts: Counter[int] = Counter()
    unread = 0
    votes_for: list[str] = []
    for order, reply in zip(orders, replies, strict=True):
        choice = None if reply is None else wording.read_choice(reply, len(items))
        if choice is not None:
            counts[order[choice - 1]] += 1
        chosen = None if choice is None else items[order[choice - 1]].candidate
        votes_for.append("none" if chosen is None else f"{chosen.model}#{chosen.sample}")
        unread += reply is not None and choice is None
    if unread:
        frame.note(f"judge: {unread} of {votes} replies name no candidate, and {COUNT_FOR_NONE}")
    if counts:
        frame.note(f"judge: {tally(list(counts.values()))}")
        more = ", …" if votes > MAX_VOTES else ""
        frame.note(f"judge: one by one for {', '.join(votes_for[:MAX_VOTES])}{more}")
    frame.emit(items[max(range(len(items)), key=lambda i: (counts[i], -i))])


def rank(frame: Frame) -> Steps:
    """The best by mean score; a candidate without a score is last."""
    items = yield from _distinct(frame)
    votes = frame.node.operator.votes
    asks = [
        (_write(frame, candidate=item.candidate.text), turn)
        for item in items
        for turn in range(votes)
    ]
    about = [item.candidate.key for item in items for _ in range(votes)]
    replies = yield from ask_all(frame, asks, about)
    scored: list[Item] = []
    unread = 0
    for place, item in enumerate(items):
        given = [each for each in replies[place * votes : (place + 1) * votes] if each is not None]
        scores = [score for each in given if (score := wording.read_score(each)) is not None]
        unread += len(given) - len(scores)
        score = fmean(scores) if scores else -1.0
        verdict = item.verdict
        if verdict is not None:
            verdict = Verdict(is_accepted=verdict.is_accepted, score=score)
        scored.append(Item(item.candidate, verdict, score))
    if unread:
        frame.note(f"rank: {unread} of {len(asks)} replies give no score, and {COUNT_FOR_NONE}")
    scored.sort(key=lambda item: -(item.score or 0.0))
    for item in scored[: frame.node.operator.keep]:
        frame.emit(item)


def knockout(frame: Frame) -> Steps:
    """Rounds of pairs; of an odd number the last goes on without a comparison."""
    items = yield from _distinct(frame)
    votes = frame.node.operator.votes
    asked = unread = 0
    while len(items) > 1:
        pairs = [(items[i], items[i + 1]) for i in range(0, len(items) - 1, 2)]
        asks = [
            (_about(frame, [pair[i] for i in _rotated(2, turn)]), turn // 2)
            for pair in pairs
            for turn in range(votes)
        ]
        replies = yield from ask_all(frame, asks)
        asked += len(asks)
        unread += sum(
            reply is not None and wording.read_choice(reply, 2) is None for reply in replies
        )
        winners = [
            _winner(pair, replies[place * votes : (place + 1) * votes])
            for place, pair in enumerate(pairs)
        ]
        items = [*winners, *items[len(pairs) * 2 :]]
    if unread:
        frame.note(f"knockout: {unread} of {asked} replies name no candidate, and {COUNT_FOR_NONE}")
    for item in items:
        frame.emit(item)


def _winner(pair: tuple[Item, Item], replies: Sequence[str | None]) -> Item:
    balance = 0
    for turn, reply in enumerate(replies):
        choice = None if reply is None else wording.read_choice(reply, 2)
        if choice is not None:
            chosen = _rotated(2, turn)[choice - 1]
            balance += 1 if chosen == 0 else -1
    return pair[0] if balance >= 0 else pair[1]


def fuse(frame: Frame) -> Steps:
    """One new answer from all candidates."""
    items = yield from _distinct(frame)
    if not items:
        return
    request = _about(frame, items)
    yield from _answer(frame, request)


def refine(frame: Frame) -> Steps:
    """One candidate, better with each round, until it is accepted or the rounds are used up."""
    assert frame.given is not None
    node = frame.node
    current = frame.given
    for turn in range(node.operator.rounds + 1):
        if node.checker is not None:
            ticket = frame.check(node.checker, current.candidate)
            finished = yield
            assert isinstance(finished, Finished)
            assert finished.ticket == ticket
            current = Item(current.candidate, verdict_of(finished.value))
            if current.verdict is not None and current.verdict.is_accepted:
                break
        if turn == node.operator.rounds:
            break
        better = yield from _improved(frame, current)
        if better is None:
            break
        current = better
    frame.emit(current)


def _improved(frame: Frame, current: Item) -> Generator[None, Event, Item | None]:
    reason = current.verdict.reason if current.verdict else ""
    text = current.candidate.text
    if frame.node.critic is not None:
        critique = frame.node.critic.write(frame.values(candidate=text, reason=reason))
        (finished,) = yield from ask_all(frame, [(critique, frame.draw)])
        reason = finished or reason
    request = _write(frame, candidate=text, reason=reason)
    (written,) = yield from complete_all(frame, [(request, frame.draw)])
    return None if written is None else Item(_candidate(frame, written, request))


def model_verifier(frame: Frame) -> Steps:
    """The majority's verdict on one candidate; a reply without one is a rejection."""
    assert frame.given is not None
    votes = frame.node.operator.votes
    request = _write(frame)
    completions = yield from complete_all(frame, [(request, turn) for turn in range(votes)])
    replies = [each for each in completions if each is not None]
    read = [wording.read_acceptance(reply.text) for reply in replies]
    accepted, unread = read.count(True), read.count(None)
    reason = next((reply.text for reply in replies if reply.text), "no reply")[-MAX_REASON:]
    verdict = Verdict(is_accepted=2 * accepted > votes, score=accepted / votes, reason=reason)
    if replies:
        # Calls that failed are told of as such.
        frame.judged(
            Judged(
                verifier=label(frame.node.operator),
                version=request.writer.digest,
                candidate=frame.given.candidate,
                node=frame.node.index,
                verdict=verdict,
                cost_micros=sum(reply.cost_micros for reply in replies),
                us=max(reply.latency_us for reply in replies),
                is_complete=len(replies) == votes,
                broken=_no_verdict(reason) if unread == len(read) else None,
            )
        )
    if unread:
        frame.note(
            f"verify: {unread} of {votes} replies give no verdict, and {COUNT_AS_REJECTIONS}"
        )
    frame.emit(Item(frame.given.candidate, verdict))


def _no_verdict(reply: str) -> str:
    """In one line; the end of a reply is where a verdict should stand."""
    end = " ".join(reply.split())[-MAX_SHOWN:]
    return f'no reply says "correct" or "wrong"; the first ends with: {end}'


def _distinct(frame: Frame) -> Generator[None, Event, list[Item]]:
    """The candidates, of equal texts only the first, at most MAX_JUDGED."""
    assert frame.upstream is not None
    items = yield from collect(frame, frame.upstream)
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.candidate.text, item)
    return list(first.values())[:MAX_JUDGED]


def _rotated(count: int, turn: int) -> list[int]:
    return [(place + turn) % count for place in range(count)]


def _about(frame: Frame, items: Sequence[Item]) -> Request:
    return _write(frame, candidates=wording.numbered([item.candidate.text for item in items]))


def _write(frame: Frame, **more: object) -> Request:
    assert frame.node.writer is not None
    return frame.node.writer.write(frame.values(**more))


def _answer(frame: Frame, request: Request) -> Generator[None, Event, None]:
    (written,) = yield from complete_all(frame, [(request, frame.draw)])
    if written is not None:
        frame.emit(Item(_candidate(frame, written, request)))


def _candidate(frame: Frame, written: Completion, request: Request) -> Candidate:
    key = request.call(frame.draw).key
    return candidate_of(written, written.text, frame.node.operator.model, frame.draw, key)
