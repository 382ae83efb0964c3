"""The size of each fabric's buffer: by policy, decided now and then, seen by sales."""

import itertools
import random

import pytest

from parkade.core.fleet.buffer import BufferGrowth, BufferPolicy, BufferShare
from parkade.core.healing.buffer_size import Steps, growths_of, state_conditional_size
from parkade.core.kernel.decide import decide
from parkade.core.repairing.buffer_sizing import RESIZE_US
from parkade.core.repairing.buffer_use import buffers
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.steps.capacity import sellable
from parkade.core.units.fraction import Fraction
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import DAY_US, HOUR_US, SECOND_US, Window
from tests.core.repairing.sick import Sick


def share(numerator: int, denominator: int) -> BufferShare:
    """So much of a fabric."""
    return BufferShare(share=Fraction(numerator=numerator, denominator=denominator))


def growth(numerator: int, denominator: int, horizon_us: int = DAY_US) -> BufferGrowth:
    """State-conditional."""
    quantile = Fraction(numerator=numerator, denominator=denominator)
    return BufferGrowth(quantile=quantile, horizon_us=horizon_us)


def market(policy: BufferPolicy | None, nodes: int = 10, floor: int = 1) -> Sick:
    """One fabric, already sized."""
    it = Sick(fabrics={"a": nodes}, buffer_nodes=floor, buffer=policy)
    it.tick(1)
    return it


def held(it: Sick) -> int:
    """Of the one fabric."""
    (use,) = buffers(it.world)
    return use.held


def for_sale(it: Sick) -> int:
    """Whole nodes that a reservation could have for ever from now on."""
    window = Window(start_us=it.now_us, end_us=None)
    return sellable(it.world, it.world.records.markets["pool"], window)["a"]


@pytest.mark.parametrize(
    ("policy", "floor", "expected"),
    [
        (None, 1, 1),
        (share(1, 10), 1, 1),
        (share(11, 100), 1, 2),
        (share(1, 2), 1, 5),
        (share(1, 20), 3, 3),
        (share(1, 1), 0, 10),
        (growth(99, 100), 2, 2),
    ],
)
def test_sales_leave_what_the_policy_holds_and_at_least_the_floor(
    policy: BufferPolicy | None, floor: int, expected: int
) -> None:
    it = market(policy, floor=floor)
    assert held(it) == expected
    assert for_sale(it) == 10 - expected


def test_what_is_down_is_held_beside_what_grew() -> None:
    it = market(growth(99, 100))
    for node in ("a1", "a2", "a3"):
        it.fail(node)
    it.tick(RESIZE_US / SECOND_US)
    assert held(it) == 3, "no horizon is over yet: what is down"
    it.tick(2 * DAY_US / SECOND_US)
    assert held(it) == 6, "three down now, and three more came within a day before"
    assert for_sale(it) == 4


def test_a_reservation_is_refused_what_the_buffer_took() -> None:
    it = market(share(1, 2))
    asked = commands.Reserve(
        by=None, org="acme", market=None, name=None, nodes=6, start_us=None, end_us=None
    )
    it.org("acme")
    refusal = it.refused(asked)
    assert isinstance(refusal, Refusal)
    it.reserve("acme", 5)
    assert for_sale(it) == 0


def test_a_buffer_that_grew_takes_nothing_from_those_that_bought_before() -> None:
    it = market(growth(99, 100), floor=0)
    it.reserve("acme", 9)
    for node in ("a1", "a2", "a3"):
        it.fail(node)
    it.tick(RESIZE_US / SECOND_US)
    assert held(it) == 3
    assert for_sale(it) == 0
    (use,) = buffers(it.world)
    assert use.down == 3 and use.short == 0


def test_a_size_is_decided_at_bounded_times_and_when_the_nodes_or_the_term_change() -> None:
    it = market(share(1, 10))
    it.tick(3 * RESIZE_US / SECOND_US)
    sized = [event.at_us for event in it.journal if isinstance(event, events.BuffersSized)]
    assert [b - a for a, b in itertools.pairwise(sized)] == [RESIZE_US] * 3
    more = commands.Supply(
        market="pool", opens=None, fabrics=(("a", tuple(f"n{i}" for i in range(10))),)
    )
    it.do(commands.AddNodes(by=None, pool="pool", supply=more))
    assert held(it) == 2, "of twenty"
    change = commands.TermsChange(buffer=share(1, 4))
    it.do(commands.ChangeTerms(by=None, market="pool", change=change, from_us=None))
    assert held(it) == 5
    assert it.replayed() == encode_snapshot(it.world)


def test_a_market_without_a_policy_has_no_such_event() -> None:
    it = market(None)
    it.tick(DAY_US / SECOND_US)
    assert not any(isinstance(event, events.BuffersSized) for event in it.journal)
    assert it.world.records.downs == {}


@pytest.mark.parametrize(
    "policy", [share(3, 2), growth(1, 1), growth(0, 1), growth(99, 100, HOUR_US - 1)]
)
def test_a_policy_outside_its_bounds_is_refused_with_the_place(policy: BufferPolicy) -> None:
    it = market(None)
    change = commands.TermsChange(buffer=policy)
    asked = commands.ChangeTerms(by=None, market="pool", change=change, from_us=None)
    refusal = decide(it.world, asked, it.now_us)
    assert isinstance(refusal, Refusal) and (refusal.field or "").startswith("terms.buffer.")


def test_each_size_is_the_one_that_the_history_so_far_gives() -> None:
    lots = random.Random(3)
    it = market(growth(9, 10))
    for _ in range(60):
        node = lots.choice(list(it.world.records.nodes))
        if it.node(node).is_in_play:
            it.fail(node)
        elif lots.random() < 0.8:
            it.do(commands.RestoreNode(by=None, node=node))
            it.healed(node)
        it.tick(lots.randint(1, 20) * HOUR_US / SECOND_US)
    down, steps = 0, [(it.journal[0].at_us, 0)]
    play: dict[str, bool] = {}
    checked = 0
    for event in it.journal:
        match event:
            case events.NodeHealthSet(node=node, health=health):
                is_in = health in ("healthy", "suspect")
                down += play.get(node, True) - is_in
                play[node] = is_in
                steps.append((event.at_us, down))
            case events.BuffersSized(fabrics=(size,)):
                first_us = next(e.at_us for e in it.journal if isinstance(e, events.BuffersSized))
                known = dict(steps)
                history = Steps(tuple(known), tuple(known.values()))
                growths = growths_of(
                    history,
                    start_us=first_us,
                    end_us=event.at_us,
                    horizon_us=DAY_US,
                    every_us=RESIZE_US,
                )
                wanted = state_conditional_size(down, growths, quantile=0.9, least=1)
                assert (size.down, size.held) == (down, min(10, wanted))
                checked += 1
            case _:
                pass
    assert checked > 50 and down > 0
