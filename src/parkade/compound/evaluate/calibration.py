"""Calibration: how good the generator is on each question, and how far its verifier can be trusted.

It is made from labelled outcomes. What it keeps is enough to plan any K: for every question how
many candidates were right and wrong, accepted and rejected, and how p and the verifier's two error
rates are spread over questions (`spread.py`; a question with few candidates is pulled towards the
others by exactly as much as they are alike).
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from parkade.compound.evaluate.measures import (
    REPORT_VERSION,
    Confusion,
    Measure,
    confusion,
    mean_share,
)
from parkade.compound.evaluate.outcomes import CandidateOutcome, Outcome, Tally, tally
from parkade.compound.evaluate.spread import Spread, fit_spread
from parkade.compound.theory.domain import DomainError, whole
from parkade.compound.theory.special import beta_quantile
from parkade.compound.values import Question

PILOT = 32
DOUBTS = 80
"""Draws of the posterior that intervals of a plan are read from."""


class Runner(Protocol):
    """Draws candidates of a network and labels them; the run engine is one, a test's table too."""

    async def __call__(
        self, network: Any, question: Question, samples: int
    ) -> Sequence[CandidateOutcome]:
        """So many candidates with verdict, label, cost and latency."""
        ...


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """The Beta that a rate follows over questions."""

    alpha: float
    beta: float

    @property
    def mean(self) -> float:
        """The mean rate."""
        return self.alpha / (self.alpha + self.beta)


class Betas(msgspec.Struct, frozen=True, kw_only=True):
    """What the three rates may follow, as far as the outcomes tell: one draw of the posterior."""

    generator: Index
    misses: Index
    false_alarms: Index


class QuestionRate(msgspec.Struct, frozen=True, kw_only=True):
    """One question: its counts, and the generator's accuracy on it."""

    question: str
    samples: int
    right: int
    accuracy: Measure


class Group(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Questions with equal counts: planning needs no more of them."""

    right: int
    wrong: int
    rejected_right: int
    verified_right: int
    accepted_wrong: int
    verified_wrong: int
    questions: int


class SharedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """Prompts that were paid for once for several candidates; `drawing_cost` reckons with them."""

    # Of one prompt, in the mean.
    micros: float
    # Candidates for each prompt that was paid for, in the mean.
    candidates: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What planning starts from; `version` is that of its JSON form."""

    version: int
    questions: int
    candidates: int
    # One candidate of each question.
    accuracy: Measure
    # p over questions.
    generator: Index
    verifier: Confusion | None
    # 1 − TPR and FPR over questions; None without a verifier.
    misses: Index | None
    false_alarms: Index | None
    # One candidate with its check, in the mean.
    cost_micros: float
    latency_us: float
    per_question: tuple[QuestionRate, ...]
    groups: tuple[Group, ...]
    # None where each candidate paid for its own prompt.
    shared_prompt: SharedPrompt | None = None
    doubts: tuple[Betas, ...] = ()
    """Draws of what the rates may follow; empty in calibrations of before there were any."""


class _Spreads(NamedTuple):
    generator: Spread
    misses: Spread
    false_alarms: Spread


async def calibrate(
    network: Any, labelled: Iterable[Question], *, runner: Runner, samples: int = PILOT
) -> Calibration:
    """Draw `samples` candidates of each labelled question, one question at a time, and calibrate.

    A runner that wants to run questions side by side records them and calls `calibration_of`.
    """
    whole("samples", samples, least=1)
    found: list[Outcome] = []
    for question in labelled:
        found.extend(await runner(network, question, samples))
    return calibration_of(found)


def calibration_of(outcomes: Iterable[Outcome]) -> Calibration:
    """Calibrate from recorded outcomes; raises DomainError where nothing is labelled."""
    everything = tally(outcomes)
    tallies = [each for each in everything if each.samples]
    if not tallies:
        raise DomainError("no candidate has a label: is_correct must be true or false")
    spreads = _fit(tallies)
    generator = _index(spreads.generator)
    has_verifier = any(each.verified for each in tallies)
    candidates = sum(each.candidates for each in everything)
    return Calibration(
        version=REPORT_VERSION,
        questions=len(tallies),
        candidates=candidates,
        accuracy=mean_share(
            [each.right / each.samples for each in tallies],
            candidates=sum(each.samples for each in tallies),
        ),
        generator=generator,
        verifier=confusion(tallies),
        misses=_index(spreads.misses) if has_verifier else None,
        false_alarms=_index(spreads.false_alarms) if has_verifier else None,
        cost_micros=sum(each.cost_micros for each in everything) / candidates,
        latency_us=sum(each.latency_us for each in everything) / candidates,
        shared_prompt=_shared_prompt(everything, candidates),
        per_question=_per_question(tallies, generator),
        groups=_groups(tallies),
        doubts=_doubts(spreads),
    )


def _shared_prompt(everything: Sequence[Tally], candidates: int) -> SharedPrompt | None:
    sharing = sum(each.sharing for each in everything)
    if sharing == 0:
        return None
    return SharedPrompt(
        micros=sum(each.shared_micros for each in everything) / sharing,
        candidates=candidates / max(1, candidates - sharing),
    )


def _fit(tallies: Sequence[Tally]) -> _Spreads:
    return _Spreads(
        fit_spread((each.samples, each.right) for each in tallies),
        fit_spread(
            (each.accepted_right + each.rejected_right, each.rejected_right) for each in tallies
        ),
        fit_spread(
            (each.accepted_wrong + each.rejected_wrong, each.accepted_wrong) for each in tallies
        ),
    )


def _doubts(spreads: _Spreads) -> tuple[Betas, ...]:
    """The three are told by different counts, so each draw of one meets any draw of another."""
    chance = random.Random(0)
    columns = []
    for spread in spreads:
        drawn = [Index(alpha=it.alpha, beta=it.beta) for it in spread.draws(DOUBTS)]
        chance.shuffle(drawn)
        columns.append(drawn)
    return tuple(
        Betas(generator=generator, misses=misses, false_alarms=alarms)
        for generator, misses, alarms in zip(*columns, strict=True)
    )


def _index(spread: Spread) -> Index:
    return Index(alpha=spread.alpha, beta=spread.beta)


def _per_question(tallies: Sequence[Tally], generator: Index) -> tuple[QuestionRate, ...]:
    intervals: dict[tuple[int, int], Measure] = {}
    found = []
    for each in tallies:
        counts = (each.right, each.wrong)
        if counts not in intervals:
            intervals[counts] = _posterior(generator.alpha + counts[0], generator.beta + counts[1])
        found.append(
            QuestionRate(
                question=each.question,
                samples=each.samples,
                right=each.right,
                accuracy=intervals[counts],
            )
        )
    return tuple(found)


def _posterior(alpha: float, beta: float) -> Measure:
    return Measure(
        value=alpha / (alpha + beta),
        low=min(beta_quantile(0.025, alpha, beta), alpha / (alpha + beta)),
        high=max(beta_quantile(0.975, alpha, beta), alpha / (alpha + beta)),
    )


def _groups(tallies: Sequence[Tally]) -> tuple[Group, ...]:
    counted = Counter(
        (
            each.right,
            each.wrong,
            each.rejected_right,
            each.accepted_right + each.rejected_right,
            each.accepted_wrong,
            each.accepted_wrong + each.rejected_wrong,
        )
        for each in tallies
    )
    return tuple(
        Group(
            right=right,
            wrong=wrong,
            rejected_right=rejected_right,
            verified_right=verified_right,
            accepted_wrong=accepted_wrong,
            verified_wrong=verified_wrong,
            questions=questions,
        )
        for (
            right,
            wrong,
            rejected_right,
            verified_right,
            accepted_wrong,
            verified_wrong,
        ), questions in sorted(counted.items())
    )
