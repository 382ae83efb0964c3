"""The problem: the largest sum of a run of neighbours in a list of whole numbers.

Few public tests, as contests have them; hidden tests that decide; inputs without answers, on which
programs can only be compared with each other.
"""

import random

STATEMENT = "f(xs): the largest sum of one or more neighbouring numbers of xs, which is not empty"
ENTRY_POINT = "f"

PUBLIC: tuple[tuple[list[int], int], ...] = (
    ([2, -1, 2, -5, 3], 3),
    ([-3], -3),
    ([-1, 3, -2, 4], 5),
)

HIDDEN = """
def check(f):
    assert f([1]) == 1
    assert f([-2, -1]) == -1
    assert f([-1, -2]) == -1
    assert f([5, -9, 6]) == 6
    assert f([8, -3, 4, -20, 6, 2]) == 9
    assert f([-2, 1, -3, 4, -1, 2, 1, -5, 4]) == 6
    assert f([0, 0, 0]) == 0
    assert f([-5, -4, -3, -4]) == -3
    assert f([3, -2, 3, -2, 3]) == 5
    assert f([10, -11, 10, -1, 10]) == 19
    assert f(list(range(-50, 51))) == 1275
"""


def inputs(count: int) -> list[tuple[list[int]]]:
    """Lists of up to nine small numbers, always the same ones."""
    draw = random.Random("inputs")
    return [([draw.randint(-9, 9) for _ in range(draw.randint(1, 9))],) for _ in range(count)]
