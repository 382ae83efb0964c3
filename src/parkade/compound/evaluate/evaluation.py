"""What recorded outcomes say: accuracy, pass@k, the verifier, a vote, and what a solved one cost.

Everything is estimated from the recorded candidates without a model of them; each row of K is the
mean over all choices of K candidates of each question, so K may not exceed what was recorded.
"""

import random
from collections.abc import Iterable, Sequence

import msgspec

from parkade.compound.evaluate.measures import (
    Confusion,
    Measure,
    confusion,
    mean_share,
)
from parkade.compound.evaluate.outcomes import Outcome, Tally, tally
from parkade.compound.theory.counting import draws_until_right, pass_at, verified_at
from parkade.compound.theory.domain import DomainError

#: Of the report. In version 1 one `cost_per_solved_micros` stood for all K: everything spent, over
#: what the last row solves. Since 2 each row has its own.
VERSION = 2
STEPS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000)
VOTE_DRAWS = 40
MOST_VOTES_COUNTED = 400_000


class EvaluationRow(msgspec.Struct, frozen=True, kw_only=True):
    """What K candidates of each question give."""

    k: int
    # At least one of K is right: what a perfect verifier would reach.
    pass_at_k: Measure
    # The first accepted of K, else a random one; None without verdicts on every candidate.
    verified: Measure | None
    # The most frequent answer of K, simulated above K = 1; None where answers were not recorded.
    vote: Measure | None
    # Candidates drawn until one is accepted (without verdicts: until one is right), K at most.
    draws: float
    # Of those draws, one by one, ÷ the questions that they answer right (`verified`, else
    # `pass_at_k`); None where none is.
    cost_per_solved_micros: float | None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The report of `evaluate`; `version` is that of its JSON form."""

    version: int
    questions: int
    candidates: int
    # Left out of everything: no label says whether they are right.
    unlabelled_candidates: int
    # One candidate of each question.
    accuracy: Measure
    verifier: Confusion | None
    rows: tuple[EvaluationRow, ...]
    # Everything that was recorded.
    cost_micros: int
    latency_us: float


def evaluate(
    outcomes: Iterable[Outcome], *, ks: Sequence[int] | None = None, seed: int = 0
) -> Evaluation:
    """Measure recorded outcomes; `ks` default to 1, 2, 3, 5, 10 … as far as all questions go.

    Raises DomainError where nothing is labelled or a K exceeds the fewest candidates of a question.
    """
    all_tallies = tally(outcomes)
    tallies = [each for each in all_tallies if each.samples]
    if not tallies:
        raise DomainError("no candidate has a label: is_correct must be true or false")
    fewest = min(each.samples for each in tallies)
    chosen = tuple(ks) if ks else (*(k for k in STEPS if k < fewest), fewest)
    for k in chosen:
        if not 1 <= k <= fewest:
            raise DomainError(f"K = {k} must lie in 1..{fewest}, the fewest candidates recorded")
    rows = tuple(_row(tallies, k, seed) for k in sorted(set(chosen)))
    candidates = sum(each.candidates for each in all_tallies)
    cost = sum(each.cost_micros for each in all_tallies)
    return Evaluation(
        version=VERSION,
        questions=len(tallies),
        candidates=candidates,
        unlabelled_candidates=sum(each.unlabelled for each in all_tallies),
        accuracy=mean_share(
            [each.right / each.samples for each in tallies],
            candidates=sum(each.samples for each in tallies),
        ),
        verifier=confusion(tallies),
        rows=rows,
        cost_micros=cost,
        latency_us=sum(each.latency_us for each in all_tallies) / candidates,
    )


def _row(tallies: Sequence[Tally], k: int, seed: int) -> EvaluationRow:
    candidates = sum(each.samples for each in tallies)
    is_verified = all(each.verified == each.samples for each in tallies)
    accepted = [
        each.accepted_right + each.accepted_wrong if is_verified else each.right for each in tallies
    ]
    draws = [
        draws_until_right(each.samples, hits, k)
        for each, hits in zip(tallies, accepted, strict=True)
    ]
    pass_at_k = mean_share(
        [pass_at(each.samples, each.right, k) for each in tallies], candidates=candidates
    )
    verified = _verified(tallies, k, candidates) if is_verified else None
    costs = [each.alone_micros * drawn for each, drawn in zip(tallies, draws, strict=True)]
    solved = (verified or pass_at_k).value * len(tallies)
    return EvaluationRow(
        k=k,
        pass_at_k=pass_at_k,
        verified=verified,
        vote=_vote(tallies, k, seed),
        draws=sum(draws) / len(draws),
        cost_per_solved_micros=sum(costs) / solved if solved > 0 else None,
    )


def _verified(tallies: Sequence[Tally], k: int, candidates: int) -> Measure:
    shares = [
        verified_at(t.accepted_right, t.accepted_wrong, t.rejected_right, t.rejected_wrong, k)
        for t in tallies
    ]
    return mean_share(shares, candidates=candidates)


def _vote(tallies: Sequence[Tally], k: int, seed: int) -> Measure | None:
    """Plurality of K drawn answers, ties broken by chance; by simulation, as no sum is short.

    A vote of one is that candidate, so K = 1 is the accuracy of one, exactly.
    """
    if any(sum(votes for votes, _ in t.answers.values()) != t.samples for t in tallies):
        return None
    if k == 1:
        candidates = sum(each.samples for each in tallies)
        return mean_share([each.right / each.samples for each in tallies], candidates=candidates)
    chance = random.Random(f"{seed} {k}")
    repeats = max(1, min(VOTE_DRAWS, MOST_VOTES_COUNTED // (k * len(tallies))))
    shares = [
        sum(_is_vote_right(each, k, chance) for _ in range(repeats)) / repeats for each in tallies
    ]
    return mean_share(shares, candidates=len(tallies))


def _is_vote_right(each: Tally, k: int, chance: random.Random) -> bool:
    answers = list(each.answers.items())
    places = range(len(answers))
    drawn = chance.sample(places, k, counts=[votes for _, (votes, _) in answers])
    votes = [0] * len(answers)
    for place in drawn:
        votes[place] += 1
    most = max(votes)
    leader = chance.choice([place for place in places if votes[place] == most])
    return answers[leader][1][1]
