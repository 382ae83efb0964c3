"""Public prices of GPUs, and limits drawn around them.

Only quotes of a single GPU are used: for several GPUs some providers quote the machine and others
the GPU. A quote that is missing or not above 0 is left out.
"""

import math
import random
from pathlib import Path

from parkade.core.units.money import MICROS
from parkade.sim.replay.scenario import QuotesFile
from parkade.sim.replay.tables import BadData, read_columns

COLUMNS = ("gpu_model", "gpu_count", "rental_type", "price_median_usd")
FEWEST = 10


def read_quotes(file: Path, given: QuotesFile) -> tuple[float, ...]:
    """Prices per GPU-hour, ascending: each provider's median of each day. Raises `BadData`."""
    columns = read_columns(file, COLUMNS)
    rows = zip(*(columns[name] for name in COLUMNS), strict=True)
    try:
        found = sorted(
            float(price)
            for model, count, rental, price in rows
            if model == given.gpu_model
            and int(count) == 1
            and rental in given.rental_types
            and price not in (None, "")
        )
    except (TypeError, ValueError):
        raise BadData(f"{file.name}: a price or count is no number") from None
    found = [price for price in found if math.isfinite(price) and price > 0]
    if len(found) < FEWEST:
        models = sorted({str(model) for model in columns["gpu_model"]})[:20]
        raise BadData(
            f"{file.name} has {len(found)} quotes of one {given.gpu_model}"
            f" ({', '.join(given.rental_types)}); {FEWEST} are needed. It has {', '.join(models)}"
        )
    return tuple(found)


def draw_limit(quotes: tuple[float, ...], spread: float, chance: random.Random) -> int:
    """A limit in micro-units per GPU-hour: a quote at random, times a log-normal factor with
    median 1."""
    price = chance.choice(quotes) * chance.lognormvariate(0.0, spread)
    return max(1, round(price * MICROS))
