"""Measured numbers with their intervals, as all reports of this package hold them."""

from collections.abc import Sequence

import msgspec

from parkade.compound.evaluate.outcomes import Tally
from parkade.compound.theory.intervals import ratio_interval, wilson, wilson_of_mean

# Reports of this version are what `--json` prints; a change that a reader would notice raises it.
REPORT_VERSION = 1


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A share or a mean with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """How far the ends are apart."""
        return self.high - self.low

    def percent(self) -> str:
        """As people read it: `36.6 % (34.1-39.2)`."""
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f}-{100 * self.high:.1f})"


def mean_share(values: Sequence[float], *, candidates: int) -> Measure:
    """The mean of one share a question; questions, not candidates, are independent."""
    low, high = wilson_of_mean(values, most_trials=max(len(values), candidates))
    value = sum(values) / len(values)
    return Measure(value=value, low=min(low, value), high=max(high, value))


def rate(tops: Sequence[int], bottoms: Sequence[int]) -> Measure | None:
    """Σ tops ÷ Σ bottoms, one pair a question; None where the bottoms sum to 0.

    Resampled by question. At 0 and 1, where every resample agrees, Wilson's interval over the
    questions that have a bottom stands in.
    """
    top, bottom = sum(tops), sum(bottoms)
    if bottom == 0:
        return None
    if top in (0, bottom):
        questions = sum(1 for each in bottoms if each)
        low, high = wilson(questions if top else 0, questions)
    else:
        low, high = ratio_interval(tops, bottoms)
    value = top / bottom
    return Measure(value=value, low=max(0.0, min(low, value)), high=min(1.0, max(high, value)))


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """The verifier against the labels, over all candidates that have both."""

    accepted_right: int
    accepted_wrong: int
    rejected_right: int
    rejected_wrong: int
    # P(accepted | right); None where no right candidate was verified.
    true_positive_rate: Measure | None
    # P(accepted | wrong).
    false_positive_rate: Measure | None
    # P(right | accepted), at the mix of questions and candidates recorded.
    precision: Measure | None


def confusion(tallies: Sequence[Tally]) -> Confusion | None:
    """The confusion of a verifier; None where none was asked."""
    if not any(each.verified for each in tallies):
        return None
    right = [each.accepted_right for each in tallies]
    wrong = [each.accepted_wrong for each in tallies]
    return Confusion(
        accepted_right=sum(right),
        accepted_wrong=sum(wrong),
        rejected_right=sum(each.rejected_right for each in tallies),
        rejected_wrong=sum(each.rejected_wrong for each in tallies),
        true_positive_rate=rate(
            right, [each.accepted_right + each.rejected_right for each in tallies]
        ),
        false_positive_rate=rate(
            wrong, [each.accepted_wrong + each.rejected_wrong for each in tallies]
        ),
        precision=rate(right, [a + b for a, b in zip(right, wrong, strict=True)]),
    )
