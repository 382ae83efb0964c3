"""The kernels that load a GPU, run without one: what they write, count, and compute."""

import math

import pytest

from parkade.repairs.gpu_driver import PTX
from tests.repairs.ptx import Kernel

BASE, COUNT, WORDS = 1 << 33, 64, 100
BLOCKS, THREADS = 3, 4


def filled(seed: int) -> dict[int, int]:
    """Memory as `fill` leaves it, and the counter."""
    memory = {COUNT: 0}
    Kernel(PTX, "fill").run(BLOCKS, THREADS, memory, BASE, WORDS, seed)
    return memory


def wrong(memory: dict[int, int], seed: int) -> int:
    """What `verify` counts."""
    memory[COUNT] = 0
    Kernel(PTX, "verify").run(BLOCKS, THREADS, memory, BASE, WORDS, seed, COUNT)
    return memory[COUNT]


def test_each_word_is_written_once_and_nearly_all_differ() -> None:
    memory = filled(7)
    del memory[COUNT]
    assert sorted(memory) == [BASE + 4 * number for number in range(WORDS)]
    assert len(set(memory.values())) == WORDS
    ones = sum(bin(word).count("1") for word in memory.values())
    assert 0.4 < ones / (32 * WORDS) < 0.6, "both values of a bit are tried"
    other = filled(8)
    assert sum(memory[at] == other[at] for at in memory) == 0


@pytest.mark.parametrize("number", [0, 1, 50, WORDS - 1])
def test_each_word_that_changed_is_counted(number: int) -> None:
    memory = filled(7)
    assert wrong(memory, 7) == 0
    memory[BASE + 4 * number] ^= 1 << 20
    assert wrong(memory, 7) == 1
    assert wrong(memory, 8) == WORDS


def chained(turns: int) -> int:
    memory = {COUNT: 0}
    Kernel(PTX, "chain").run(1, 1, memory, COUNT, turns)
    return memory[COUNT]


def test_the_map_is_chaotic_and_stays_within_its_bounds() -> None:
    found = [chained(turns) for turns in range(1, 200)]
    assert len(set(found)) == len(found), "it does not settle"
    x, y = 0.2, 0.2 + 2**-24
    for _ in range(200):
        x, y = 3.9 * x * (1 - x), 3.9 * y * (1 - y)
    assert not math.isclose(x, y, rel_tol=1e-3), "one wrong bit is soon another number"


def test_threads_that_compute_another_number_are_counted() -> None:
    memory = {COUNT: 0}
    burn = Kernel(PTX, "burn")
    burn.run(BLOCKS, THREADS, memory, COUNT, 50, chained(50))
    assert memory[COUNT] == 0
    burn.run(BLOCKS, THREADS, memory, COUNT, 50, chained(50) ^ 1)
    assert memory[COUNT] == BLOCKS * THREADS
