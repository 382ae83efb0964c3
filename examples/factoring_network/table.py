"""The table: what K candidates solve with and without the verifier, beside what needs no model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from examples.factoring.model import Parameters
from examples.factoring.primes import Products
from examples.factoring.sample import draw
from examples.factoring.scoring import majority, pair_number, random_pair, size_rule
from examples.factoring_network.chances import (
    at_least_one,
    exact_chances,
    likeliest_is_right,
    verified,
)
from parkade.compound.evaluate.measures import Measure, mean_share
from parkade.compound.plots.chart import Axis, Chart, Line, Scale
from parkade.compound.theory.counting import draws_until_right, pass_at

Array = npt.NDArray[Any]

PAPERS_SHARE = 0.366


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One K; shares of the held-out products."""

    k: int
    random_pair: float
    verified: Measure
    closed_form: float
    # The closed form at the mean p, as if all products were alike.
    alike: float
    vote: float
    rule: float
    # Candidates drawn a product, stopping at the first verified one.
    draws: float


class Found(NamedTuple):
    """The columns, and what holds for all of them."""

    columns: tuple[Column, ...]
    # The least K whose verified share reaches the paper's 36.6 %.
    reaches_papers_share_at: int | None
    # What the vote tends to as K grows.
    vote_limit: float


def measure(
    named: Parameters, products: Products, ks: Sequence[int], *, samples: int, seed: int
) -> Found:
    """Draw `samples` candidates of each product, check them, and fill the table."""
    return judge(named, products, ks, draw(named, products, samples, seed))


def judge(
    named: Parameters, products: Products, ks: Sequence[int], drawn: tuple[Array, Array]
) -> Found:
    """The table of candidates that were drawn, here or elsewhere; each (products, samples)."""
    one, other = drawn
    samples = one.shape[1]
    right = [int(hits) for hits in verified(products, one, other).sum(axis=1)]
    pairs = pair_number(one, other)
    answers = pair_number(products.smaller, products.larger)
    chances = exact_chances(named, products)
    columns = []
    for k in ks:
        shares = [pass_at(samples, hits, k) for hits in right]
        columns.append(
            Column(
                k=k,
                random_pair=random_pair(k),
                verified=mean_share(shares, candidates=samples * len(shares)),
                closed_form=at_least_one(chances, k),
                alike=float(1 - (1 - chances.mean()) ** k),
                vote=majority(pairs, answers, k),
                rule=size_rule(products, k),
                draws=float(np.mean([draws_until_right(samples, hits, k) for hits in right])),
            )
        )
    limit = float(likeliest_is_right(named, products).mean())
    return Found(tuple(columns), _least(right, samples), limit)


def _least(right: Sequence[int], samples: int) -> int | None:
    for k in range(1, samples + 1):
        if sum(pass_at(samples, hits, k) for hits in right) >= PAPERS_SHARE * len(right):
            return k
    return None


def show(found: Found) -> str:
    """The table in percent, for people."""
    columns = found.columns
    rows = [
        ("random prime pair", [column.random_pair for column in columns]),
        ("generator, verified", [column.verified.value for column in columns]),
        ("    95 % interval, low", [column.verified.low for column in columns]),
        ("    95 % interval, high", [column.verified.high for column in columns]),
        ("closed form, mean of 1 − (1 − p)^K", [column.closed_form for column in columns]),
        ("    as if all products were alike", [column.alike for column in columns]),
        ("generator, majority vote, no verifier", [column.vote for column in columns]),
        ("rule: a prime of the right size, divide", [column.rule for column in columns]),
    ]
    lines = [f"{'% of held-out products solved, K =':40}" + "".join(f"{c.k:8}" for c in columns)]
    lines += [f"{name:40}" + "".join(f"{100 * v:8.4g}" for v in values) for name, values in rows]
    drawn = "".join(f"{column.draws:8.4g}" for column in columns)
    lines.append(f"{'candidates drawn with early stop':40}{drawn}")
    lines.append(
        f"For large K the vote is right for {100 * found.vote_limit:.3g} % (closed form): "
        "the products whose likeliest pair is the right one."
    )
    return "\n".join(lines)


def chart(found: Found) -> Chart:
    """The same as a plot."""
    columns = found.columns

    def line(name: str, values: Sequence[float], *, is_dashed: bool = False) -> Line:
        points = tuple((float(c.k), v) for c, v in zip(columns, values, strict=True))
        return Line(name, points, is_dashed=is_dashed)

    band = tuple((column.verified.low, column.verified.high) for column in columns)
    return Chart(
        "Factoring: the verifier is the whole effect",
        Axis("candidates a product, K", Scale.LOG),
        Axis("held-out products solved", Scale.PERCENT),
        (
            line("generator, verified", [c.verified.value for c in columns])._replace(band=band),
            line("closed form", [c.closed_form for c in columns], is_dashed=True),
            line("majority vote, no verifier", [c.vote for c in columns]),
            line("rule without a model", [c.rule for c in columns], is_dashed=True),
            line("random prime pair", [c.random_pair for c in columns], is_dashed=True),
        ),
    )
