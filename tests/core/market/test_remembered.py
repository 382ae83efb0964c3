"""A clearing that is remembered is the one that would be computed."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from parkade.core.clearing import linking
from parkade.core.market import remembered
from parkade.core.market.clear import clear, winners
from parkade.core.market.market_state import MarketState, NodeInPlay
from parkade.core.market.outcome import Clearing
from parkade.core.market.remembered import Memory, are_counted_alike, are_of_one_order
from parkade.core.units.time import HOUR_US
from parkade.sim.dynamics.day import Day
from parkade.sim.dynamics.demand import Mix, draw_demand
from parkade.sim.dynamics.opening import opening
from tests.core.market.market_walk import walk

WALKS = range(700, 720)


def test_a_memory_changes_no_outcome_of_a_walk() -> None:
    """Each market is cleared as it is, once more, and with other instants; then it goes on."""
    how: Counter[str] = Counter()
    for seed in WALKS:
        chance, memory = random.Random(seed), Memory()
        for state in (_dated(it, chance) for it in walk(seed, 12)):
            for one in (state, state, _later(state, chance), _shuffled(state, chance), state):
                known = memory.counted_alike(one)
                if known is None:
                    how["anew"] += 1
                elif are_of_one_order(known.state.nodes, one.nodes):
                    how["known"] += 1
                else:
                    how["counted"] += 1
                assert clear(one, memory) == clear(one), f"walk {seed}"
    assert sum(how.values()) == len(WALKS) * 12 * 5
    assert min(how[it] for it in ("anew", "known", "counted")) > 100, how


def test_who_wins_is_known_before_the_outcome_where_the_allocation_decides() -> None:
    how: Counter[str] = Counter()
    for seed in WALKS:
        chance, memory = random.Random(seed), Memory()
        for state in (_dated(it, chance) for it in walk(seed, 12)):
            names = winners(state, memory)
            outcome = clear(state, memory)
            assert outcome == clear(state), f"walk {seed}"
            how["told" if names is not None else "not told"] += 1
            if names is not None:
                assert names == {line.demand for line in outcome.lines if line.seats}
    assert how["told"] > 100, how


@pytest.mark.parametrize("mix", [Mix(), Mix(sub_node_share=0.8)])
def test_a_day_comes_to_the_same_with_and_without_a_memory(
    mix: Mix, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory = _seen(mix)
    compared: list[bool] = []

    def compare(state: MarketState, memory: Memory) -> Clearing:
        compared.append(memory.counted_alike(state) is not None)
        found = clear(state, memory)
        assert found == clear(state)
        return found

    monkeypatch.setattr(linking, "market_clear", compare)
    assert _seen(mix) == with_memory
    assert 20 < sum(compared) < len(compared)


def _seen(mix: Mix) -> str:
    day = Day(draw_demand(5, HOUR_US, mix), (), opens=opening(), check_every=None)
    day.run(HOUR_US)
    return day.digest


def _dated(state: MarketState, chance: random.Random) -> MarketState:
    """What is held is free later, at instants that are often the same, and then unclean for
    others."""
    held = {seat.node for it in state.demands for seat in it.seats}
    nodes = tuple(
        replace(
            it,
            free_from_us=chance.randint(1, 4) if it.node in held else it.free_from_us,
            last_org=chance.choice(("ant", "bee", None)),
            clean_from_us=chance.choice((0, chance.randint(1, 6))),
        )
        for it in state.nodes
    )
    return replace(state, nodes=nodes)


def _later(state: MarketState, chance: random.Random) -> MarketState:
    """Time passed, and the order of instants is the same."""
    instants = sorted({us for it in state.nodes for us in (it.free_from_us, it.clean_from_us)})
    at_us, later = 0, {0: 0}
    for us in instants:
        if us > 0:
            at_us += chance.randint(1, 9)
            later[us] = at_us
    return _with_instants(state, lambda us: later[us])


def _shuffled(state: MarketState, chance: random.Random) -> MarketState:
    """What is free now stays so; the rest is free in another order."""
    return _with_instants(state, lambda us: us and chance.randint(1, 4))


def _with_instants(state: MarketState, change: Callable[[int], int]) -> MarketState:
    nodes = tuple(
        replace(it, free_from_us=change(it.free_from_us), clean_from_us=change(it.clean_from_us))
        for it in state.nodes
    )
    return replace(state, nodes=nodes)


def _node(name: str, free_us: int, clean_us: int = 0, org: str | None = None) -> NodeInPlay:
    return NodeInPlay(
        node=name,
        fabric="amber",
        gpus=8,
        is_open=True,
        free_from_us=free_us,
        last_org=org,
        clean_from_us=clean_us,
    )


@pytest.mark.parametrize(
    ("other", "is_one_order"),
    [
        ((_node("a1", 7), _node("a2", 9), _node("a3", 0)), True),
        ((_node("a1", 1), _node("a2", 2), _node("a3", 0)), True),
        ((_node("a1", 9), _node("a2", 7), _node("a3", 0)), False),
        ((_node("a1", 7), _node("a2", 7), _node("a3", 0)), False),
        ((_node("a1", 7), _node("a2", 9), _node("a3", 1)), False),
        ((_node("a1", 0), _node("a2", 9), _node("a3", 0)), False),
        ((_node("a1", 7), _node("a2", 9), _node("a3", 0, org="bee")), False),
    ],
)
def test_only_instants_of_the_same_order_give_the_same_seats(
    other: tuple[NodeInPlay, ...], is_one_order: bool
) -> None:
    one = (_node("a1", 3), _node("a2", 5), _node("a3", 0))
    assert are_of_one_order(one, other) is is_one_order


def test_what_is_counted_of_a_node_must_be_alike() -> None:
    state = next(iter(walk(700, 1)))
    node = state.nodes[0]
    changed = (
        replace(node, is_open=not node.is_open),
        replace(node, fabric="elsewhere"),
        replace(node, last_org="another org", clean_from_us=9),
        replace(node, free_from_us=0 if node.free_from_us else 5),
        replace(node, clean_from_us=0 if node.clean_from_us else 5),
    )
    assert are_counted_alike(state, state, asks_instants=True)
    for at, it in enumerate(changed):
        other = replace(state, nodes=(it, *state.nodes[1:]))
        assert not are_counted_alike(state, other, asks_instants=True)
        assert are_counted_alike(state, other, asks_instants=False) is (at > 1)
    for other in (
        replace(state, nodes=state.nodes[1:]),
        replace(state, demands=state.demands[1:]),
        replace(state, terms=replace(state.terms, public_floor_micros=1)),
        replace(state, gpus_per_node=4),
    ):
        assert not are_counted_alike(state, other, asks_instants=False)


def test_as_many_clearings_are_remembered_as_is_said() -> None:
    memory = Memory()
    states = [next(iter(walk(seed, 1))) for seed in range(700, 704)]
    for state in states:
        clear(state, memory)
    known = [memory.counted_alike(state) is not None for state in states]
    assert known == [False, False, True, True]
    assert sum(known) == remembered.MOST_REMEMBERED
