"""Random days with live work: whatever happens, the books, the seats and the owners' waits hold."""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.billing.live_ranks import kept_rate
from parkade.core.fleet.node import Health
from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.ranks import kept_by, ranks_of
from parkade.sim.auditor.owners import OwnersAuditor
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live import audited, given_parkade, live

FEW = settings() if settings.get_current_profile_name() == "long" else settings(max_examples=25)
NODES = ("a1", "a2", "a3", "a4", "a5")
NAME = "w1"
LIMITS = (1.5, 2, 3, 4.5, 6, 9)
Act = tuple[int, int]
ACTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 29)), max_size=12)


def given_a_day(acts: list[Act], *, limit: float = 4.5) -> Parkade:
    """Five nodes of a fabric, one of which acme reserved and lends at a floor of 2; lab's live work
    on what it reaches, and others' gangs of one and two nodes; then the acts."""
    parkade = given_parkade(5, start_limit_us=120 * SECOND_US, minimum_charge_us=90 * SECOND_US)
    parkade.lend(parkade.reserve("acme", 1), 2)
    assert live(parkade, limit) == NAME
    parkade.clear()
    parkade.started(NAME)
    for kind, number in acts:
        KINDS[kind](parkade, number)
    return parkade


def bid(parkade: Parkade, number: int) -> None:
    org = ("birch", "elm")[number % 2]
    parkade.bid(org, LIMITS[number % len(LIMITS)], nodes=1 + number // 15)


def asks(parkade: Parkade, command: commands.AnyCommand) -> bool:
    """It is done unless it is refused; whether it is."""
    if isinstance(decide(parkade.world, command, parkade.now_us), Refusal):
        return False
    parkade.do(command)
    return True


def rebid(parkade: Parkade, number: int) -> None:
    limit = round(LIMITS[number % len(LIMITS)] * MICROS)
    asks(parkade, commands.ChangeBid(by=None, workload=NAME, limit_price_micros=limit))


def fails(parkade: Parkade, number: int) -> None:
    node = NODES[number % len(NODES)]
    if parkade.world.records.nodes[node].health is Health.HEALTHY:
        parkade.fail(node)
    else:
        asks(parkade, commands.RestoreNode(by=None, node=node))


def claims(parkade: Parkade, number: int) -> None:
    known = list(parkade.world.records.claims)
    if known:
        parkade.do(commands.Unclaim(by=None, claim=known[0]))
    else:
        parkade.claim(next(iter(parkade.world.records.reservations)), 1)


def leaves(parkade: Parkade, number: int) -> None:
    """What was told to leave is gone, with a date that may be off; what joined may not begin."""
    for name in list(parkade.world.live):
        attempt = parkade.workload(name).attempt
        if attempt is not None and attempt.stop is not None:
            parkade.ended(name, code=85)
        elif attempt is not None and any(it.leaving for it in attempt.ranks):
            at_us = parkade.now_us - number % 3 * 20 * SECOND_US
            parkade.ranks_left(name, at_us=at_us, begun=() if number % 2 else None)


def starts(parkade: Parkade, number: int) -> None:
    parkade.start_all()


def ends(parkade: Parkade, number: int) -> None:
    names = [it for it in parkade.world.live if parkade.workload(it).attempt is not None]
    others = [it for it in names if it != NAME]
    if others:
        parkade.ended(others[number % len(others)])


def passes(parkade: Parkade, number: int) -> None:
    parkade.tick(number * 7)
    parkade.clear()


def cordons(parkade: Parkade, number: int) -> None:
    node = NODES[number % len(NODES)]
    if parkade.world.records.nodes[node].cordons:
        parkade.do(commands.UncordonNode(by=None, node=node))
    else:
        parkade.do(commands.CordonNode(by=None, node=node, reason="test"))


KINDS: tuple[Callable[[Parkade, int], None], ...] = (
    bid, rebid, fails, claims, leaves, starts, ends, passes, cordons,
)  # fmt: skip


def outcome(parkade: Parkade) -> tuple[int, tuple[int, ...]]:
    """(ranks, what each costs) that a clearing left it."""
    workload = parkade.workload(NAME)
    attempt, promise = workload.attempt, workload.promise
    if promise is not None:
        nodes, rate = len(promise.seats), promise.rates[-1]
    elif attempt is not None and attempt.stop is None:
        nodes, rate = len(kept_by(ranks_of(attempt))), kept_rate(attempt)
    else:
        return 0, ()
    return nodes, rate.node_prices or (rate.price_micros,) * nodes


@FEW
@given(ACTS)
def test_the_books_the_seats_and_the_owners_hold(acts: list[Act]) -> None:
    parkade = given_a_day(acts)
    parkade.run(120)
    owners = OwnersAuditor()
    for event in parkade.journal:
        owners.read(event)
    parkade.stop_all()
    for name in list(parkade.world.live):
        parkade.do(commands.Cancel(by=None, workload=name, now=True))
    parkade.stop_all()
    audited(parkade)
    assert sum(parkade.world.ledger.balances.values()) == 0


@FEW
@given(ACTS)
def test_a_clearing_that_nothing_changed_moves_no_rank(acts: list[Act]) -> None:
    parkade = given_a_day(acts)
    parkade.clear()
    parkade.clear()
    before = len(parkade.journal)
    parkade.clear()
    for event in parkade.journal[before:]:
        assert not isinstance(event, events.RanksChanged), event
        assert not isinstance(event, events.Cleared) or not (event.resized or event.won), event


@FEW
@given(ACTS, st.sampled_from(LIMITS), st.sampled_from(LIMITS))
def test_a_higher_limit_has_no_fewer_ranks_and_no_lie_gains(
    acts: list[Act], true: float, other_limit: float
) -> None:
    """The work is worth its true limit on each node. Both bids meet the same market."""
    found = []
    for limit in (true, other_limit):
        parkade = given_a_day(acts)
        workload = parkade.workload(NAME)
        if workload.phase.is_ended or workload.promise is not None or workload.attempt is None:
            return
        if workload.attempt.stop is not None or workload.attempt.started_us is None:
            return
        micros = round(limit * MICROS)
        if not asks(parkade, commands.ChangeBid(by=None, workload=NAME, limit_price_micros=micros)):
            return
        parkade.clear()
        found.append(outcome(parkade))
    (honest, prices), (other, paid) = found
    assert honest >= other if true >= other_limit else honest <= other
    worth = Fraction(round(true * MICROS))
    assert sum(worth - it for it in prices) >= sum(worth - it for it in paid)
