"""The grid of a book: UTC hours for four weeks, UTC days beyond, 26 weeks at most.

A slot is the least that has a price. 26 weeks of hours would be 4,368 slots; with days after the
fourth week they are 826, and a batch costs a fifth of the time (`core/book/network`).
"""

HOURS_AHEAD = 28 * 24
"""So far ahead every hour is a boundary."""
MOST_HOURS_AHEAD = 26 * 7 * 24
HOURS_PER_DAY = 24


def grid(first: int, last: int) -> tuple[int, ...]:
    """The boundaries from an hour to another, both counted since 1970 in UTC; where that lies
    beyond four weeks, to the end of its day."""
    assert 0 <= first < last <= first + MOST_HOURS_AHEAD
    boundaries = list(range(first, min(last, first + HOURS_AHEAD) + 1))
    while boundaries[-1] < last:
        boundaries.append((boundaries[-1] // HOURS_PER_DAY + 1) * HOURS_PER_DAY)
    return tuple(boundaries)
