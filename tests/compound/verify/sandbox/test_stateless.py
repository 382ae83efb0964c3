"""Which tests may share a process: those that can leave nothing in it."""

import builtins

import pytest

from parkade.compound.verify.sandbox.inside.stateless import BUILT_INS, is_stateless

TYPED = "from typing import List\n\ndef f(xs: List[int]) -> int:\n    '''A sum.'''\n"

LEAVE_NOTHING = {
    "an assertion": ("", "assert f(1) == 2"),
    "HumanEval's shape": (
        TYPED,
        """
METADATA = {'author': 'x', 'dataset': 'test'}


def check(candidate):
    assert candidate([1, 2]) == 3, 'a sum'
    assert abs(candidate([]) - 0.0) < 1e-6
""",
    ),
    "a loop": ("", "for x in range(3):\n    assert f(x) == x + 1"),
    "a comprehension": ("", "assert [f(x) for x in (1, 2)] == [2, 3]"),
    "a function of its own": (
        "",
        "def g(x): return x + 1\nassert all([f(x) == g(x) for x in [1]])",
    ),
    "a lambda": ("", "assert sorted([2, 1], key=lambda x: f(x)) == [1, 2]"),
    "parts of a list": ("", "assert f([1, 2])[0:1] == [1]"),
    "a name of its own for a built-in": ("", "len = f\nassert len(1) == 2"),
    "a format": ("", "assert f'{f(1)!r:>3}' == '  2'"),
    "no tests": ("", ""),
}

MAY_LEAVE = {
    "an import": ("", "import math\nassert f(1) == 2"),
    "an import within": ("", "def check(c):\n    import math\n    assert c(1) == 2"),
    "an attribute": ("", "f.cache = 1"),
    "a method": ("", "x = []\nx.append(f(1))"),
    "an attribute of a built-in": ("", "assert (1).real == f(1)"),
    "a global": ("", "def check(c):\n    global x\n    x = c(1)"),
    "an item": ("", "x = [0]\nx[0] = f(1)"),
    "a class": ("", "class C: pass\nassert f(1) == 2"),
    "a caught exception": ("", "try:\n    f(1)\nexcept ValueError:\n    pass"),
    "a context": ("", "with f(1):\n    pass"),
    "a deleted name": ("", "x = f(1)\ndel x"),
    "an asynchronous function": ("", "async def g():\n    await f(1)"),
    "a generator that yields": ("", "def g():\n    yield f(1)"),
    "a name of the prelude": ("def g(x): return x", "assert f(1) == g(2)"),
    "a built-in that the prelude replaces": ("def len(x): return 1", "assert len(f(1)) == 1"),
    "a built-in that the prelude may replace": ("from math import *", "assert f(1) == 2"),
    "a prelude that calls": ("import sys\nsys.setrecursionlimit(9999)", "assert f(1) == 2"),
    "a prelude with a class": ("class C: pass", "assert f(1) == 2"),
    "a prelude that writes an attribute": ("import math\nmath.pi = 3", "assert f(1) == 2"),
    "a name that is nowhere": ("", "assert g(1) == 2"),
}
REACH = ("open", "exec", "eval", "compile", "getattr", "setattr", "vars", "globals", "__import__",
         "input", "breakpoint", "type", "super", "help", "exit", "memoryview")  # fmt: skip


def is_free(prelude: str, tests: str) -> bool:
    codes = compile(prelude, "prelude", "exec"), compile(tests, "tests", "exec")
    return is_stateless(*codes, ["f"])


@pytest.mark.parametrize("name", LEAVE_NOTHING)
def test_tests_of_calls_and_literals_leave_nothing(name: str) -> None:
    assert is_free(*LEAVE_NOTHING[name])


@pytest.mark.parametrize("name", MAY_LEAVE)
def test_tests_that_reach_further_have_a_process_of_their_own(name: str) -> None:
    assert not is_free(*MAY_LEAVE[name])


@pytest.mark.parametrize("name", REACH)
def test_a_built_in_that_reaches_further_is_not_in_the_list(name: str) -> None:
    assert name not in BUILT_INS
    assert not is_free("", f"assert {name}(f(1)) == 2")


def test_every_built_in_of_the_list_is_one() -> None:
    assert all(hasattr(builtins, name) for name in BUILT_INS)


def test_a_name_beyond_the_first_256_is_seen() -> None:
    many = "\n".join(f"x{n} = {n}" for n in range(300))
    assert is_free("", f"{many}\nassert f(1) == x299")
    assert not is_free(f"{many}\nlen = 1", f"{many}\nassert len(f(1)) == 1")
