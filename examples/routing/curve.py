"""Which systems to ask, in which order, for which budget: quality per price from recorded answers.

    python examples/routing/curve.py answers.jsonl.gz --price small=1 --price large=10 --budget 5

Every other question chooses the policies, the rest measures them: the best of many policies always
looks better than it is on the questions that chose it.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.routing.answers import BadRow, read
from parkade.compound.evaluate.cascade import (
    CurvePoint,
    PolicyMix,
    RecordedAnswer,
    Rule,
    best_mix,
    frontier,
    measure,
    policies,
)
from parkade.compound.plots.chart import Axis, Chart, Line, Scale
from parkade.compound.plots.png import png
from parkade.compound.plots.svg import svg
from parkade.compound.theory.domain import DomainError

#: What the policies may stop by, and what each choice is called.
RULES = {
    "agreement and votes": (Rule.AGREEMENT, Rule.VOTE),
    "an exact verifier": (Rule.VERIFIED,),
}
ALONE = "each alone"

Answers = Sequence[Mapping[str, RecordedAnswer]]
Curves = dict[str, tuple[CurvePoint, ...]]


class Halves(NamedTuple):
    """Questions that choose the policies, and questions that measure them."""

    choosing: Answers
    measuring: Answers


def halves(recorded: Answers) -> Halves:
    """Every other question each."""
    return Halves(recorded[::2], recorded[1::2])


def curves(split: Halves, prices: Mapping[str, float]) -> Curves:
    """The best policies by cost, for each kind of rule, measured on the other half."""
    alone = [policy for system in prices for policy in policies([system], [])]
    found: Curves = {ALONE: tuple(measure(policy, split.measuring, prices) for policy in alone)}
    for name, rules in RULES.items():
        tried = policies(tuple(prices), rules)
        hull = frontier(measure(policy, split.choosing, prices) for policy in tried)
        found[name] = tuple(measure(point.policy, split.measuring, prices) for point in hull)
    return found


def mixes(found: Curves, budget: float) -> dict[str, PolicyMix]:
    """The best mix of the chosen policies for a budget by kind of rule; none where it buys none."""
    tried = {name: best_mix(points, budget) for name, points in found.items() if name != ALONE}
    return {name: mix for name, mix in tried.items() if mix is not None}


def chart(found: Curves) -> Chart:
    """Quality over price."""
    lines = [
        Line(
            name,
            tuple(sorted((point.cost, point.accuracy) for point in points)),
            is_dashed=name == ALONE,
        )
        for name, points in found.items()
    ]
    across = Axis("price of a question", Scale.LOG)
    return Chart("What a price buys", across, Axis("answered right", Scale.PERCENT), tuple(lines))


def lines_of(found: Curves, mixed: Mapping[str, PolicyMix], budget: float | None) -> Iterable[str]:
    """The table."""
    yield f"{'price':>9}  {'right':>7}  policy"
    for name, points in found.items():
        yield f"-- {name}"
        for point in sorted(points, key=lambda point: point.cost):
            yield f"{point.cost:>9,.4g}  {100 * point.accuracy:>5.1f} %  {point.policy.name()}"
    for name, mix in mixed.items():
        yield f"-- best mix for {budget:g}: {name}"
        yield (
            f"{mix.cost:>9,.4g}  {100 * mix.accuracy:>5.1f} %  {100 * mix.dear_share:.0f} % of the "
            f"questions to {mix.dear.name()}, the rest to {mix.cheap.name()}"
        )


def main(words: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("answers", type=Path, help="JSON lines, plain or gzipped")
    parser.add_argument("--price", action="append", required=True, metavar="SYSTEM=PRICE")
    parser.add_argument("--budget", type=float, help="most that a question may cost in the mean")
    parser.add_argument("--plot", type=Path, help="FILE.svg or FILE.png")
    given = parser.parse_args(words)
    try:
        prices = _prices(given.price)
        split = halves(read(given.answers, tuple(prices)))
        found = curves(split, prices)
        mixed = {} if given.budget is None else mixes(found, given.budget)
    except (BadRow, DomainError) as error:
        print(f"curve: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines_of(found, mixed, given.budget)))
    if given.plot is not None:
        drawn = chart(found)
        given.plot.write_bytes(png(drawn) if given.plot.suffix == ".png" else svg(drawn).encode())
    return 0


def _prices(given: Sequence[str]) -> dict[str, float]:
    prices: dict[str, float] = {}
    for text in given:
        name, equals, price = text.rpartition("=")
        try:
            prices[name] = float(price)
        except ValueError:
            equals = ""
        if not equals or not name or not prices[name] > 0:
            raise BadRow(f"--price {text}: write SYSTEM=PRICE, with a price above 0")
    return prices


if __name__ == "__main__":
    sys.exit(main())
