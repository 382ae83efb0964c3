"""Kept ranges of the figures: what a change of the market's rules is held against.

A range is what the seeds gave, widened by `MARGIN` of its own middle and at least by `LEAST`. So a
change within the noise of other seeds is not told, and one beyond it is. Figures of few events, or
of a single one, differ more from seed to seed: those in `VOLATILE` are widened by
`VOLATILE_MARGIN`.
"""

from collections.abc import Sequence

import msgspec

from parkade.sim.dynamics.figures import LoadFigures

VERSION = 1
MARGIN, LEAST = 0.1, 0.005
VOLATILE_MARGIN = 0.4
VOLATILE = (
    "restarts without cause a day",
    "owners' wait, p99 s",
    "owners' wait, longest s",
    "GPU-hours moved work stood still per GPU-hour of displaced work",
    "median wait, 8 nodes, h",
    "median wait, 16 nodes, h",
    "started, 16 nodes",
)
"""Figures that a few jobs or claims decide."""

Range = tuple[float, float]


class KeptRanges(msgspec.Struct, frozen=True, kw_only=True):
    """A file of ranges. `by_load`: of each load, as text, the range of each figure; `hours` and
    `seeds` it is of."""

    hours: float
    seeds: tuple[int, ...]
    by_load: dict[str, dict[str, Range]]
    version: int = VERSION


class BadRanges(ValueError):
    """A file is no kept ranges; the message says why."""


def ranges_of(
    hours: float, seeds: tuple[int, ...], by_seed: Sequence[Sequence[LoadFigures]]
) -> KeptRanges:
    """From the figures of each seed alone, each with the same loads."""
    loads = [it.load for it in by_seed[0]]
    return KeptRanges(
        hours=hours,
        seeds=seeds,
        by_load={
            f"{load:g}": _ranges([_all(found[place]) for found in by_seed])
            for place, load in enumerate(loads)
        },
    )


def _ranges(found: Sequence[dict[str, float]]) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    for name in sorted(set.intersection(*(set(it) for it in found))):
        least, most = (of(it[name] for it in found) for of in (min, max))
        part = VOLATILE_MARGIN if name in VOLATILE else MARGIN
        margin = max(LEAST, part * abs(least + most) / 2)
        ranges[name] = (round(max(0.0, least - margin), 4), round(most + margin, 4))
    return ranges


def _all(found: LoadFigures) -> dict[str, float]:
    """With those of each size."""
    sizes = {f"started, {name}": started for name, (started, _) in found.sizes.items()}
    waits = {f"median wait, {name}, h": wait for name, (_, wait) in found.sizes.items()}
    return {**found.figures, **sizes, **waits}


def outside(kept: KeptRanges, found: Sequence[LoadFigures]) -> tuple[str, ...]:
    """What is outside its range, in words; loads and figures that only one side has are not."""
    beyond = []
    for each in found:
        ranges = kept.by_load.get(f"{each.load:g}", {})
        for name, value in _all(each).items():
            least, most = ranges.get(name, (value, value))
            if not least <= value <= most:
                beyond.append(
                    f"load {each.load:g}: {name} is {value:.4g}, not {least:g} to {most:g}"
                )
    return tuple(beyond)


def read_ranges(body: bytes) -> KeptRanges:
    """A kept file; BadRanges where it is none, or of a later version."""
    try:
        kept = msgspec.json.decode(body, type=KeptRanges)
    except msgspec.MsgspecError as error:
        raise BadRanges(f"no kept ranges: {error}") from None
    if kept.version > VERSION:
        raise BadRanges(f"ranges of version {kept.version} were written by a newer Parkade")
    return kept
