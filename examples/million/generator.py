"""A generator of programs: draws from a small grammar as a model draws from its words.

Program number i of a seed is always the same, so nothing needs to be stored to go on after a
crash. Likely choices are drawn often, as by a model, so most programs have been seen before. A few
do not parse, loop for ever, or do what no answer should.
"""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

MASK = (1 << 64) - 1

LEAVES = {"a": 12, "x": 12, "b": 5, "0": 1}
OPERATIONS = {"{} + {}": 16, "max({}, {})": 16, "min({}, {})": 1, "{} - {}": 1}
FIRST = {"0": 12, "xs[0]": 12, "-1": 1}
SHAPES = {"leaf": 3, "operation": 8, "nested": 3}
RETURNS = {"b": 16, "a": 4, "max(a, b)": 2, "a + b": 1}

#: One in how many programs is torn off, or hostile.
TORN, HOSTILE = 25, 20_000
HOSTILE_LINES = (
    "while True: pass",
    "import socket; socket.create_connection(('127.0.0.1', 80))",
    "import os; os.fork()",
    "open('/usr/planted', 'w')",
    "import os; os._exit(0)",
)

Draw = Callable[[int], int]


class Choice:
    """Draws one of several texts by their weights."""

    def __init__(self, weights: dict[str, int]) -> None:
        self._texts = tuple(weights)
        self._sums = list(accumulate(weights.values()))

    def draw(self, number: Draw) -> str:
        """One text."""
        return self._texts[bisect_right(self._sums, number(self._sums[-1]))]


_leaf, _operation, _first = Choice(LEAVES), Choice(OPERATIONS), Choice(FIRST)
_shape, _return = Choice(SHAPES), Choice(RETURNS)


def program(seed: int, index: int) -> str:
    """Program number `index`, about ten microseconds each."""
    number = _numbers(seed, index)
    lines = [
        "def f(xs):",
        f"    a = {_first.draw(number)}",
        f"    b = {_first.draw(number)}",
        "    for x in xs:",
        f"        a = {_expression(number)}",
        f"        b = {_expression(number)}",
        f"    return {_return.draw(number)}",
    ]
    if number(HOSTILE) == 0:
        lines.insert(4, f"        {HOSTILE_LINES[number(len(HOSTILE_LINES))]}")
    text = "\n".join(lines) + "\n"
    return text if number(TORN) else text[: number(len(text))]


def _expression(number: Draw) -> str:
    shape = _shape.draw(number)
    if shape == "leaf":
        return _leaf.draw(number)
    inner = _leaf.draw(number)
    if shape == "nested":
        inner = _operation.draw(number).format(_leaf.draw(number), inner)
    return _operation.draw(number).format(_leaf.draw(number), inner)


def _numbers(seed: int, index: int) -> Draw:
    """Draws below a bound: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), from seed and index."""
    state = (seed * 0x9E3779B97F4A7C15 + index * 0xD1B54A32D192ED03) & MASK

    def number(bound: int) -> int:
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return ((mixed ^ (mixed >> 31)) * bound) >> 64

    return number
