"""What we claim of prices: no misreported limit gains, and all that follows from it.

Chance markets have fabrics, incumbents, failed and closed nodes, sub-node work, reservations that
lend at floors less and more than a credit apart, on-demand, and workloads that stay put.
`PARKADE_LONG=1` searches at length.
"""

import os
import random
from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.outcome import Change, Clearing
from parkade.core.market.prices.critical_values import price_all
from parkade.core.market.priority import mates_of, newcomer_factor
from parkade.core.market.spot import Bid, are_equals
from parkade.core.placement.room import Shape
from tests.core.market.oracle import least_winning_limit, play, start_of
from tests.core.market.story import (
    MICROS,
    bid,
    chance_market,
    changes,
    given_market,
    incumbents,
    line_of,
    on,
    rebid,
    reserved,
    terms,
    winners,
    with_demands,
)

LONG = bool(os.environ.get("PARKADE_LONG")) or os.environ.get("HYPOTHESIS_PROFILE") == "long"
seeds = st.integers(min_value=0, max_value=1 << 40)


def tried(times: int) -> settings:
    return settings(max_examples=times * 120 if LONG else times)


def spot_of(state: MarketState) -> list[Demand]:
    """Spot demands for which the claim is absolute: not those that share a node as one bid."""
    sharing = mates_of(state)
    return [it for it in state.demands if it.tier is PriorityTier.SPOT and it.demand not in sharing]


def gain(state: MarketState, clearing: Clearing, demand: Demand) -> int:
    line = line_of(clearing, demand.demand)
    assert demand.limit_micros is not None
    return demand.limit_micros - line.price_micros if line.seats else 0


def is_decided_anew(*states: MarketState) -> bool:
    """Whether running work is counted where it stands, or a newcomer steps aside, in one of these:
    then a lie may decide which allocation stands (`test_beside.py`, `test_stepping_aside.py`)."""
    return any(allocate(state).plain is not None for state in states)


def is_a_tie_of_several(demand: Demand, *states: MarketState) -> bool:
    """Whether its org has another bid and equal bids go round by org in one of these: then what one
    of its bids wins decides whose turn it is (docs/market.md, several workloads of one org)."""
    orgs = Counter(it.org for it in spot_of(states[0]))
    if orgs[demand.org] == 1:
        return False
    return any(are_equals(*pair) for it in states for pair in pairwise(allocate(it).bids))


def misreports(state: MarketState, seed: int) -> list[tuple[Demand, int]]:
    chance = random.Random(seed)
    limits = (chance.randint(0, 13) * MICROS + chance.choice((-1, 0, 1)) for _ in range(10_000))
    return [(it, max(0, next(limits))) for it in spot_of(state) for _ in range(2)]


def moving_if_cheaper(state: MarketState, name: str) -> MarketState:
    return with_demands(
        state,
        *(
            msgspec.structs.replace(it, moves_if_cheaper=True) if it.demand == name else it
            for it in state.demands
        ),
    )


@tried(200)
@given(seeds)
def test_no_misreport_of_a_newcomer_or_of_a_bid_that_moves_for_a_lower_floor_gains(
    seed: int,
) -> None:
    state = chance_market(seed)
    truthful = clear(state)
    for demand, limit in misreports(state, seed):
        if demand.moves_if_cheaper or not demand.seats:
            lie = rebid(state, demand.demand, limit)
            if gain(state, clear(lie), demand) > gain(state, truthful, demand):
                assert is_decided_anew(state, lie) or is_a_tie_of_several(demand, state, lie)


@tried(200)
@given(seeds)
def test_no_misreport_of_a_bid_that_stays_gains_more_than_moving_for_a_lower_floor(
    seed: int,
) -> None:
    state = chance_market(seed)
    for demand, limit in misreports(state, seed):
        if demand.seats and not demand.moves_if_cheaper:
            lie, moving = (
                rebid(state, demand.demand, limit),
                moving_if_cheaper(state, demand.demand),
            )
            if gain(state, clear(lie), demand) > gain(state, clear(moving), demand):
                states = (state, lie, moving)
                assert is_decided_anew(*states) or is_a_tie_of_several(demand, *states)


@tried(100)
@given(seeds)
def test_bidding_higher_never_loses_seats(seed: int) -> None:
    state = chance_market(seed)
    truthful = clear(state)
    for demand, limit in misreports(state, seed):
        told = rebid(state, demand.demand, limit)
        before = bool(line_of(truthful, demand.demand).seats)
        after = bool(line_of(clear(told), demand.demand).seats)
        assert demand.limit_micros is not None
        lower, higher = (before, after) if limit > demand.limit_micros else (after, before)
        assert higher or not lower or is_decided_anew(state, told)


@tried(200)
@given(seeds)
def test_no_winner_pays_above_its_limit_nor_below_the_floors_it_draws(seed: int) -> None:
    state = chance_market(seed)
    clearing = clear(state)
    for demand in state.demands:
        line = line_of(clearing, demand.demand)
        if demand.tier is PriorityTier.SPOT and line.seats:
            assert demand.limit_micros is not None
            assert line.price_micros <= demand.limit_micros
            assert line.floor_micros <= line.price_micros


@tried(200)
@given(seeds, st.booleans(), st.integers(min_value=1, max_value=4))
def test_one_sweep_gives_the_prices_of_playing_the_market_again(
    seed: int, any_fabric: bool, crowd: int
) -> None:
    state = chance_market(seed, any_fabric=any_fabric, crowd=crowd)
    allocation = allocate(state)
    prices = price_all(state, allocation)
    won = {
        it.name for it, parts in zip(allocation.bids, allocation.bid_parts, strict=True) if parts
    }
    assert play(start_of(allocation), allocation.bids) == won
    plain = allocation.plain or allocation
    chance = random.Random(seed)
    for at in chance.sample(range(len(allocation.bids)), min(len(allocation.bids), 6)):
        asked, parts = allocation.bids[at], allocation.bid_parts[at]
        if parts is None:
            # When it has left it shares no node.
            alone = asked._replace(shared_node="", mates=())
            least = least_winning_limit(plain, alone, loses_ties=True)
            assert prices.to_win.get(asked.name) == least
            continue
        least = least_winning_limit(allocation, asked)
        assert least is not None
        drawn = max(level for part in parts for level in (*part.levels, 0))
        if asked.shape.held is not None and sum(len(it.levels) for it in parts) < asked.shape.nodes:
            drawn = max(drawn, asked.shape.held.level)
        assert prices.paid[asked.name][0] == min(asked.limit, max(least, drawn))
    for nodes, price in prices.ladder:
        factor = newcomer_factor(state.terms, state.gpus_per_node)
        newcomer = Bid("~", "~", Shape(nodes, 8, None, False), 0, 0, factor, {}, False, -1, "", ())
        assert price == least_winning_limit(plain, newcomer, loses_ties=True)


@tried(100)
@given(seeds)
def test_the_price_to_win_wins_and_two_micro_units_less_does_not(seed: int) -> None:
    state = chance_market(seed)
    sharing = mates_of(state)
    for line in clear(state).lines:
        if line.price_to_win_micros is not None:
            name, price = line.demand, line.price_to_win_micros
            assert line_of(clear(rebid(state, name, price)), name).seats
            if price >= 2 and name not in sharing:
                less = rebid(state, name, price - 2)
                assert not line_of(clear(less), name).seats or is_decided_anew(state, less)


@tried(200)
@given(seeds)
def test_shares_add_up_to_what_is_paid(seed: int) -> None:
    state = chance_market(seed)
    clearing = clear(state)
    for demand in state.demands:
        line = line_of(clearing, demand.demand)
        paid = line.price_micros * sum(seat.gpus for seat in line.seats)
        assert sum(amount for _, amount in line.shares) == paid
        assert list(line.shares) == sorted(line.shares)
        assert all(amount > 0 for _, amount in line.shares)


@tried(200)
@given(seeds)
def test_seats_hold_what_nodes_have_and_gangs_stand_together(seed: int) -> None:
    state = chance_market(seed)
    clearing = clear(state)
    fabric = {node.node: node.fabric for node in state.nodes}
    held: Counter[str] = Counter()
    tenant: dict[str, str] = {}
    for demand in state.demands:
        seats = line_of(clearing, demand.demand).seats
        for seat in seats:
            held[seat.node] += seat.gpus
            shares = state.terms.shared_nodes and demand.tier is PriorityTier.SPOT
            org = "of any org" if shares else demand.org
            assert tenant.setdefault(seat.node, org) == org
        if seats:
            assert len(seats) == demand.nodes
            assert max(Counter(it.node for it in seats).values()) <= demand.ranks_per_node
            assert {seat.gpus for seat in seats} == {demand.gpus}
            assert demand.any_fabric or len({fabric[seat.node] for seat in seats}) == 1
    assert all(gpus <= state.gpus_per_node for gpus in held.values())


@tried(100)
@given(seeds)
def test_a_gang_with_closed_nodes_keeps_all_its_seats_or_none_of_those(seed: int) -> None:
    state = chance_market(seed)
    clearing = clear(state)
    closed = {node.node for node in state.nodes if not node.is_open}
    for demand in state.demands:
        seats = line_of(clearing, demand.demand).seats
        if {seat.node for seat in seats} & closed:
            assert seats == demand.seats


@tried(100)
@given(seeds)
def test_a_closed_node_of_a_guest_keeps_no_owner_from_open_ones(seed: int) -> None:
    """Owners get the same nodes as if the guests' closed nodes had failed."""
    state = chance_market(seed)
    closed = {node.node for node in state.nodes if not node.is_open}
    guests = [it for it in state.demands if it.tier is PriorityTier.SPOT]
    held = closed & {seat.node for it in guests for seat in it.seats}
    failed = tuple(node for node in state.nodes if node.node not in held)
    without = allocate(msgspec.structs.replace(state, nodes=failed))
    assert allocate(state).reserved.parts.keys() == without.reserved.parts.keys()


def moved(clearing: Clearing) -> dict[str, Change]:
    quiet = (Change.KEEP, Change.WAIT)
    return {name: change for name, change in changes(clearing).items() if change not in quiet}


@tried(200)
@given(seeds)
def test_repeating_a_clearing_of_whole_nodes_at_one_floor_starts_at_most_what_waited(
    seed: int,
) -> None:
    """A bid that was counted elsewhere than it was seated can leave room that is seen only then, or
    take, in the count alone, the room beside a gang's closed node."""
    state = incumbents(chance_market(seed, lends=False, shared=False))
    closed = {node.node for node in state.nodes if not node.is_open}
    has_closed = any(seat.node in closed for it in spot_of(state) for seat in it.seats)
    again = set(moved(clear(state)).values())
    assert again <= ({Change.START, Change.MOVE} if has_closed else {Change.START})


@tried(200)
@given(seeds)
def test_two_floors_and_shared_nodes_come_to_rest_in_the_fourth_clearing(seed: int) -> None:
    state = incumbents(chance_market(seed))
    for _ in range(2):
        state = incumbents(state, clear(state))
    assert moved(clear(state)) == {}


@tried(100)
@given(seeds)
def test_the_order_in_which_a_state_is_written_is_irrelevant(seed: int) -> None:
    state = chance_market(seed)
    chance = random.Random(seed)
    parts = {
        name: tuple(chance.sample(values, len(values)))
        for name, values in (
            ("nodes", state.nodes),
            ("demands", state.demands),
            ("reservations", state.reservations),
        )
    }
    assert clear(msgspec.structs.replace(state, **parts)) == clear(state)


@tried(100)
@given(seeds)
def test_every_loser_has_a_reason_and_no_winner_has(seed: int) -> None:
    for line in clear(chance_market(seed)).lines:
        assert (line.reason is None) == (line.change not in (Change.WAIT, Change.PREEMPT))


@tried(100)
@given(seeds)
def test_a_reservation_never_holds_more_than_its_shape(seed: int) -> None:
    state = chance_market(seed)
    rooms = {room.reservation: room for room in state.reservations}
    for lent in clear(state).reservations:
        size = sum(nodes for _, nodes in rooms[lent.reservation].shape)
        assert lent.used + lent.kept + lent.offered <= size
        assert lent.lent <= lent.offered


def test_a_runner_priced_at_a_cheaper_floor_elsewhere_keeps_its_seat() -> None:
    """Its floor is the cheaper fabric's and its seat its own while its price covers that floor."""
    runner = on(bid("runner", 9, moves_if_cheaper=True), "amber-0")
    market = given_market(
        runner,
        bid("newcomer", 8),
        bid("loser", 5),
        fabrics={"amber": 1, "birch": 1},
        reservations=(reserved("acme", {"amber": 1}, lends_at=3.03),),
        on=terms(floor=3, fee="0/1"),
    )
    line = line_of(clear(market), "runner")
    assert (line.change, line.seats[0].node) == (Change.KEEP, "amber-0")
    assert (line.floor_micros, line.price_micros) == (3_000_000, 4_761_905)
    alone = line_of(clear(with_demands(market, runner)), "runner")
    assert (alone.change, alone.price_micros) == (Change.MOVE, 3_000_000)


@pytest.mark.parametrize("limit", [3.0, 3.01, 3.03, 9])
def test_between_floors_less_than_a_credit_apart_no_limit_is_better_than_another(
    limit: float,
) -> None:
    state = given_market(
        on(bid("runner", limit, moves_if_cheaper=True), "amber-0"),
        fabrics={"amber": 1, "birch": 1},
        reservations=(reserved("acme", {"amber": 1}, lends_at=3.03),),
        on=terms(floor=3, fee="0/1"),
    )
    line = line_of(clear(state), "runner")
    assert (line.change, line.price_micros) == (Change.MOVE, 3_000_000)


def test_a_guest_stays_where_it_runs_though_a_lender_elsewhere_sets_a_lower_floor() -> None:
    guest = on(bid("guest", 9), "amber-0")
    before = given_market(
        guest,
        fabrics={"amber": 1, "birch": 1},
        reservations=(reserved("acme", {"birch": 1}, lends_at=5),),
        on=terms(floor=3),
    )
    after = msgspec.structs.replace(
        before, reservations=(reserved("acme", {"birch": 1}, lends_at=1),)
    )
    for state in (before, after):
        line = line_of(clear(state), "guest")
        assert (line.change, line.price_micros) == (Change.KEEP, 3_000_000)
    moving = clear(moving_if_cheaper(after, "guest"))
    assert (line_of(moving, "guest").change, winners(moving)) == (
        Change.MOVE,
        {"guest": 1_400_000},
    )


def test_a_gang_with_a_cordoned_node_cannot_keep_seven_open_ones_for_nothing() -> None:
    nodes = tuple(f"amber-{n}" for n in range(8))
    state = given_market(
        on(bid("holder", 0.000001, 8), *nodes),
        bid("rival", 50, 7),
        fabrics={"amber": 8},
        closed=("amber-0",),
    )
    assert changes(clear(state)) == {"holder": Change.PREEMPT, "rival": Change.START}
    fair = rebid(state, "holder", 60 * MICROS)
    line = line_of(clear(fair), "holder")
    assert (line.change, line.price_micros) == (Change.KEEP, 47_619_048)
