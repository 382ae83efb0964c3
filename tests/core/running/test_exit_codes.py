"""The exit code of a gang is the one that a shell would show."""

import pytest

from parkade.core.running.exits import exit_code_of
from parkade.core.workloads.observed import RankExit
from tests import builders


def rank(number: int, code: int | None = None, signal: int | None = None) -> RankExit:
    return RankExit(rank=number, code=code, signal=signal)


@pytest.mark.parametrize(
    ("exits", "code"),
    [
        ((), None),
        ((rank(0, 0),), 0),
        ((rank(0, 0), rank(1, 0)), 0),
        ((rank(0, 0), rank(1, 3), rank(2, 4)), 3),
        ((rank(0, signal=9),), 137),
        ((rank(0, 0), rank(1)), None),
        ((rank(0), rank(1, 2)), 2),
        ((rank(0, signal=15), rank(1, 1)), 143),
    ],
)
def test_the_first_rank_that_failed_decides(exits: tuple[RankExit, ...], code: int | None) -> None:
    assert exit_code_of(builders.observed(exits=exits)) == code
