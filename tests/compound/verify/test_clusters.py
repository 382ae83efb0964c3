import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.verify.clusters import behaviour, calls_in, cluster_by_behaviour
from parkade.compound.verify.sandbox.inside import plain
from parkade.compound.verify.sandbox.jobs import Answer, Raised, Returned, Silent
from parkade.compound.verify.sandbox.pool import Sandbox

SOURCES = (
    "def f(x): return x + x",
    "def f(x): return x ** 2",
    "def f(x): return 2 * x",
    "def f(x): raise ValueError(id(f))",
    "def f(x): return [x, x][0] * 2",
    "def f(x): return x * x",
    "def g(x): return 1",
    "def f(x) return x",
)


def test_programs_are_grouped_by_what_they_answer_the_largest_first() -> None:
    async def run() -> list[tuple[str, ...]]:
        async with Sandbox(rooms=1) as sandbox:
            execute = calls_in(sandbox, "f")
            found = await cluster_by_behaviour(SOURCES, [(0,), (2,), (3,)], execute)
        return [cluster.members for cluster in found]

    assert asyncio.run(run()) == [
        (SOURCES[0], SOURCES[2], SOURCES[4]),
        (SOURCES[1], SOURCES[5]),
    ]


def test_one_input_may_not_tell_ideas_apart() -> None:
    async def execute(source: str, inputs: Sequence[Any]) -> Sequence[Answer]:
        return [Returned(data=eval(source)(*given)) for given in inputs]

    double, square = "lambda x: 2 * x", "lambda x: x * x"
    alike = asyncio.run(cluster_by_behaviour([double, square], [(2,)], execute))
    apart = asyncio.run(cluster_by_behaviour([double, square], [(2,), (3,)], execute))
    assert [cluster.members for cluster in alike] == [(double, square)]
    assert [cluster.members for cluster in apart] == [(double,), (square,)]
    assert [cluster.answered for cluster in apart] == [2, 2]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (Returned(data=1), Returned(data=1.0), False),
        (
            Returned(data=plain.encode({1: 2, 3: 4})),
            Returned(data=plain.encode({3: 4, 1: 2})),
            True,
        ),
        (Returned(data=plain.encode({3, 1})), Returned(data=plain.encode({1, 3})), True),
        (Returned(data=[1, 2]), Returned(data=[2, 1]), False),
        (
            Raised(kind="ValueError", message="a", name="A"),
            Raised(kind="ValueError", message="b", name="B"),
            True,
        ),
        (
            Raised(kind="ValueError", message="a", name="A"),
            Raised(kind="KeyError", message="a", name="A"),
            False,
        ),
        (Silent(why="a"), Silent(why="b"), True),
        (Silent(why="a"), Returned(data=None), False),
    ],
)
def test_behaviour_is_equal_for_equal_answers(one: Answer, other: Answer, is_same: bool) -> None:
    assert (behaviour([one]) == behaviour([other])) is is_same


def test_the_deepest_answer_has_a_behaviour() -> None:
    value: object = 1
    for _ in range(plain.MOST_DEPTH):
        value = {"k": value}
    assert len(behaviour([Returned(data=plain.encode(value))])) == 32


@given(st.lists(st.integers(0, 5), max_size=60))
def test_every_candidate_is_in_exactly_one_cluster_in_order(values: list[int]) -> None:
    async def execute(value: tuple[int, int], inputs: Sequence[Any]) -> Sequence[Answer]:
        return [Returned(data=value[1])]

    candidates = list(enumerate(values))
    found = asyncio.run(cluster_by_behaviour(candidates, [()], execute))
    members = [one for cluster in found for one in cluster.members]
    assert sorted(members) == candidates
    assert all(list(cluster.members) == sorted(cluster.members) for cluster in found)
    assert all(len({value for _, value in cluster.members}) == 1 for cluster in found)
    sizes = [len(cluster.members) for cluster in found]
    assert sizes == sorted(sizes, reverse=True)
