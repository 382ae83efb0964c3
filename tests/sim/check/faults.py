"""Faults planted into production functions, each with a world that is small enough to find it in.

A fault is what a careless change might do. None of them touches the model checker itself.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from parkade.control import outbox
from parkade.core.billing import effects as billing
from parkade.core.clearing import arrivals, claims, debts, demands, displacement, rates, taking_part
from parkade.core.clearing import input as clearing_input
from parkade.core.clearing import sizes as clearing_sizes
from parkade.core.fleet.node import Health, Node
from parkade.core.fleet.seat import Seat
from parkade.core.kernel import decide as kernel
from parkade.core.leasing import decisions as leasing
from parkade.core.ledger.accounts import TransferKind
from parkade.core.market import allocation, spot
from parkade.core.market import sizes as market_sizes
from parkade.core.market.prices import bounded
from parkade.core.market.prices.sweep import CounterfactualSweep
from parkade.core.market.seating import posing
from parkade.core.running import arrays as running_arrays
from parkade.core.running import decisions as running
from parkade.core.running import dependencies, ending, lapses, observations, promises
from parkade.core.running import effects as running_effects
from parkade.core.state import commands, events
from parkade.core.state import world as worlds_of
from parkade.core.steps import members
from parkade.core.units import indexes
from parkade.core.workloads.array import ArrayTerms
from parkade.core.workloads.dependency import Condition, Dependency, Settled, settled
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt
from parkade.core.workloads.workload import Rate, Stop
from parkade.sim.check.acts import report
from parkade.sim.check.scenarios import (
    GUEST,
    MARKET,
    START_US,
    TICK_US,
    Asks,
    Scenario,
    fleet,
    lent,
    reserved,
    submission,
)
from parkade.sim.check.small_worlds import SCENARIOS

Plant = Callable[[pytest.MonkeyPatch], None]


def _protocol(asks: Asks) -> Scenario:
    whole = SCENARIOS["agent"]()
    return replace(whole, asks=asks, submissions=whole.submissions[:1], most_live=1)


def _scenario(name: str, nodes: int, owned: int, asks: Asks, *offers: Any) -> Scenario:
    owner = (reserved("acme", owned), lent("acme", 2)) if owned else ()
    return Scenario(
        name=name,
        says=f"{nodes} nodes in a fabric, {owned} of them reserved and lent by acme",
        setup=(*fleet({"a": nodes}, gpus=1, orgs=("acme", "birch", GUEST)), *owner),
        submissions=offers,
        most_live=2,
        bids=(),
        asks=asks,
    )


LOW = submission(GUEST, limit=3)
HIGH = submission("birch", limit=6)
PAIR = submission(GUEST, nodes=2, limit=5)

CONTEST = _scenario("contest", 1, 1, Asks.CLAIMS | Asks.CANCELS, LOW, HIGH)
"""One node that an owner lends and two guests want."""
RECLAIM = _scenario("reclaim", 1, 1, Asks.CLAIMS, LOW)
"""One node that an owner lends and wants back from a guest."""
GUESTS = _scenario("guests", 2, 2, Asks.CLAIMS, LOW, HIGH)
"""Two nodes that an owner lends to two guests."""
MOVED = Scenario(
    name="moved",
    says="a node in each of 2 fabrics, one of them reserved and lent by acme, which bids as well",
    setup=(
        *fleet({"a": 1, "b": 1}, gpus=1, orgs=("acme", GUEST)),
        reserved("acme", 1),
        lent("acme", 2),
    ),
    submissions=(LOW, submission("acme", limit=6)),
    most_live=2,
    bids=(),
    asks=Asks.CLAIMS,
)
"""An owner that claims a node moves its own bid onto that of a guest."""
SPARE = _scenario("spare", 2, 0, Asks.FAILS | Asks.CORDONS, LOW)
"""Two nodes, one of them to spare."""
OWNED = _scenario("owned", 2, 1, Asks.CLAIMS | Asks.FAILS, LOW)
"""A node that is reserved, and one that may break."""
CLAIMED = _scenario("claimed", 2, 2, Asks.CLAIMS | Asks.FAILS)
"""Two nodes that an owner claims, and that may break."""
COMPLETED = _scenario("completed", 3, 2, Asks.FAILS)
COMPLETED = replace(
    COMPLETED,
    setup=(*COMPLETED.setup, commands.MakeClaim(by=None, reservation="acme", nodes=2)),
)
"""Two nodes that an owner claims, and one to spare."""
ABROAD = replace(
    GUESTS,
    name="abroad",
    says="2 nodes in 2 fabrics, one of them reserved and lent by acme",
    setup=(
        *fleet({"a": 1, "b": 1}, gpus=1, orgs=("acme", "birch", GUEST)),
        reserved("acme", 1),
        lent("acme", 0),
    ),
    submissions=(LOW,),
)
"""A node that is reserved, and one beside it in another fabric."""
GANG = _scenario("gang", 2, 0, Asks.CANCELS, PAIR)
"""A gang that fills its fabric."""
AFTER_FIRST = (Dependency(condition=Condition.AFTER_OK, workload="w1"),)
FOLLOWER = replace(PAIR, spec=replace(PAIR.spec, after=AFTER_FIRST))
CHAIN = _scenario("chain", 2, 0, Asks.CANCELS | Asks.HOLDS, LOW, FOLLOWER)
"""Two nodes; a guest's gang waits for the success of its first bid."""
SOLD = _scenario("sold", 1, 1, Asks.RESERVES, LOW)
"""A node that is sold already."""


def runs(attempt: str) -> ObservedAttempt:
    """A first attempt as seen when the world begins."""
    return ObservedAttempt(
        attempt=attempt,
        generation=1,
        phase=EnginePhase.RUNNING,
        started_us=START_US,
        released_us=None,
        exits=(),
        checkpoint=None,
        devices=(),
        launch_error=None,
        engine_state="seen",
        ordered_us=START_US,
    )


THREE = submission(GUEST, limit=3, array=ArrayTerms(members=((0, 2),), most_running=2))
SWEEP = _scenario("sweep", 2, 0, Asks.CANCELS | Asks.HOLDS | Asks.RETRIES, THREE)
"""Two nodes and an array of three members, of which two may be open."""
BEYOND = submission(GUEST, limit=3, array=ArrayTerms(members=((0, 1),), most_running=None))
CROWD = _scenario("crowd", 1, 0, Asks(0), BEYOND)
"""One node and an array of two members."""

ELASTIC = replace(
    _scenario(
        "elastic",
        3,
        0,
        Asks(0),
        submission(GUEST, nodes=2, limit=5, most_nodes=3),
        submission("birch", limit=6),
    ),
    setup=fleet(
        {"a": 3},
        gpus=1,
        orgs=("acme", "birch", GUEST),
        start_grace_us=TICK_US,
        regrow_us=3 * TICK_US,
    ),
)
"""Three nodes of which a guest wants two or three, and another one."""
GROWN = replace(
    ELASTIC,
    name="grown",
    says="3 nodes in a fabric; a guest that asked for two or three runs on two, another on one",
    setup=(
        *ELASTIC.setup,
        *ELASTIC.submissions,
        commands.RunClearing(by=None, market=MARKET),
        report(runs("w1.1"), runs("w2.1")),
    ),
)
"""The same, once both run."""
RIVALS = replace(
    ELASTIC,
    name="rivals",
    submissions=(ELASTIC.submissions[0], submission("birch", limit=3), submission("acme", limit=7)),
    most_live=3,
)
"""The same, and a bid that loses against the third node only."""
SHORT = replace(
    ELASTIC,
    name="short",
    submissions=(ELASTIC.submissions[0], submission("birch", nodes=2, limit=6)),
)
"""The same, and a bid that leaves less than its least."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault; `invariants`: the numbers under which it may be found."""

    name: str
    plant: Plant
    scenario: Scenario
    invariants: tuple[int, ...]


def _drops_promise(patch: pytest.MonkeyPatch) -> None:
    judge = observations._judge

    def forgetful(*args: Any, **named: Any) -> Any:
        judged = judge(*args, **named)
        if judged.phase is Phase.PLACED:
            return replace(judged, phase=Phase.QUEUED, why=Why.NEXT_CLEARING)
        return judged

    patch.setattr(observations, "_judge", forgetful)


def _pays_twice(patch: pytest.MonkeyPatch) -> None:
    post = billing.post

    def generous(world: Any, transfers: Any) -> None:
        post(world, transfers)
        post(world, tuple(it for it in transfers if it.kind is TransferKind.PAYOUT))

    patch.setattr(billing, "post", generous)


def _rechooses_owners_seats(patch: pytest.MonkeyPatch) -> None:
    demands_of = claims.demands_of

    def restless(world: Any, claim: Any, open_nodes: Any) -> Any:
        made = demands_of(world, claim, open_nodes)
        return made if claim.seated_us is not None else [replace(it, seats=()) for it in made]

    patch.setattr("parkade.core.clearing.input.demands_of", restless)


def _gives_up_broken_claims(patch: pytest.MonkeyPatch) -> None:
    demands_of = claims.demands_of

    def whole_or_nothing(world: Any, claim: Any, open_nodes: Any) -> Any:
        made = demands_of(world, claim, open_nodes)
        is_short = claim.seated_us is not None and len(made) > 1
        return [replace(made[0], nodes=claim.nodes, seats=())] if is_short else made

    patch.setattr("parkade.core.clearing.input.demands_of", whole_or_nothing)


def _forgets_missing_nodes(patch: pytest.MonkeyPatch) -> None:
    demands_of = claims.demands_of
    patch.setattr("parkade.core.clearing.input.demands_of", lambda *args: demands_of(*args)[:1])


def _seats_owners_where_it_is_free(patch: pytest.MonkeyPatch) -> None:
    pose = posing.pose

    def homeless(*args: Any) -> Any:
        return pose(*args)._replace(at_home=frozenset())

    patch.setattr("parkade.core.market.seating.seat.pose", homeless)


def _takes_absence_for_an_exit(patch: pytest.MonkeyPatch) -> None:
    report = observations.report_attempts

    def hasty(world: Any, command: Any, now_us: int) -> Any:
        found: Any = report(world, command, now_us)
        named = {seen.attempt for seen in command.attempts}
        for name in world.live:
            workload = world.records.workloads[name]
            attempt = workload.attempt
            if attempt is not None and attempt.attempt not in named:
                lost = observations.conclude_lost(world, workload, seen_us=now_us, at_us=now_us)
                found += lost
        return found

    patch.setattr(kernel, "report_attempts", hasty)


def _keeps_earmark(patch: pytest.MonkeyPatch) -> None:
    index = worlds_of.World._index_workload

    def hoarding(self: Any, workload: Any, before: Any = None) -> None:
        index(self, workload, before)
        if workload.phase.is_ended:
            self.live_of_org.setdefault(workload.org, {})[workload.workload] = None

    patch.setattr(worlds_of.World, "_index_workload", hoarding)


def _reuses_ids(patch: pytest.MonkeyPatch) -> None:
    accept = running.accept

    def thrifty(world: Any, command: Any, now_us: int) -> Any:
        made = accept(world, command, now_us)
        free = f"w{len(world.live) + 1}"
        return replace(made, workload=free) if hasattr(made, "workload") else made

    patch.setattr(running, "accept", thrifty)


def _seats_before_the_leaver_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(promises, "has_room", lambda *args, **named: True)


def _skips_turnaround(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(promises, "clean_us", lambda world, org, node: 0)


def _kills_at_once(patch: pytest.MonkeyPatch) -> None:
    def harsh(attempt: Any, cause: Cause, *, at_us: int, notice_us: int, kill_us: int) -> Stop:
        return Stop(noticed_us=at_us, deadline_us=at_us, kill_us=at_us + kill_us, cause=cause)

    patch.setattr(displacement, "notice", harsh)


def _counts_preemption_as_failure(patch: pytest.MonkeyPatch) -> None:
    judge = observations._judge

    def unjust(*args: Any, **named: Any) -> Any:
        judged = judge(*args, **named)
        is_more = judged.preemptions > args[1].preemptions
        return replace(judged, failures=judged.failures + 1) if is_more else judged

    patch.setattr(observations, "_judge", unjust)


def _charges_above_the_limit(patch: pytest.MonkeyPatch) -> None:
    rate = rates.Rates.of

    def greedy(self: Any, line: Any) -> Any:
        made = rate(self, line)
        return replace(made, price_micros=made.price_micros * 4)

    patch.setattr(rates.Rates, "of", greedy)


def _charges_no_floor(patch: pytest.MonkeyPatch) -> None:
    rate = rates.Rates.of
    patch.setattr(rates.Rates, "of", lambda *args: replace(rate(*args), price_micros=0))


def _seats_on_cordoned_nodes(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Node) -> bool:
        return self.health is Health.HEALTHY and self.draining_us is None

    patch.setattr(Node, "is_open", property(careless))


def _withdraws_for_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ending, "withdrawal_charge", lambda *args: ())


def _forgets_whom_movers_push_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(arrivals.Arrivals, "_is_moved_by_own", lambda *_: False)
    patch.setattr(debts.Debts, "_pushed_out", lambda *_: {})


def _ignores_backoff(patch: pytest.MonkeyPatch) -> None:
    why_not = taking_part._why_not

    def eager(*args: Any) -> Any:
        why = why_not(*args)
        return None if why == Why.BACK_OFF else why

    patch.setattr(taking_part, "_why_not", eager)


def _starts_half_a_gang(patch: pytest.MonkeyPatch) -> None:
    attempt_of = promises.attempt_of

    def partial(workload: Any, promise: Any, *rest: Any) -> Any:
        made = attempt_of(workload, promise, *rest)
        return replace(made, seats=made.seats[:1])

    patch.setattr(promises, "attempt_of", partial)


def _takes_a_failure_for_a_success(patch: pytest.MonkeyPatch) -> None:
    def hopeful(other: Any, condition: Condition) -> Settled | None:
        return settled(other, Condition.AFTER_ANY)

    patch.setattr(dependencies, "settled", hopeful)


def _forgets_who_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("parkade.core.kernel.deadlines.dependency_due_us", lambda *args: None)


def _sells_twice(patch: pytest.MonkeyPatch) -> None:
    def blind(world: Any, market: Any, window: Any) -> dict[str, int]:
        return dict(world.sizes[market.market])

    patch.setattr(leasing, "sellable", blind)


def _believes_strangers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ObservedAttempt, "is_of", lambda *args: True)


def _keeps_seats_of_what_ended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(worlds_of.World, "_unindex_workload", lambda self, workload, after: None)


def _forgets_a_deadline(patch: pytest.MonkeyPatch) -> None:
    wake = worlds_of.World.wake_promises

    def drowsy(self: Any, node: str) -> None:
        if self.records.nodes[node].health is Health.HEALTHY:
            return
        wake(self, node)

    patch.setattr(worlds_of.World, "wake_promises", drowsy)


def _frees_held_seats_early(patch: pytest.MonkeyPatch) -> None:
    order = running_effects.order_stop

    def early(world: Any, event: Any) -> None:
        order(world, event)
        workload = world.records.workloads[event.workload]
        world.put_workload(replace(workload, attempt=None, phase=Phase.QUEUED))

    patch.setattr("parkade.core.kernel.evolve.running.order_stop", early)


def _never_seats_who_waited(patch: pytest.MonkeyPatch) -> None:
    due = promises.launch_due_us

    def stuck(world: Any, holder: str) -> int | None:
        claim = world.records.claims.get(holder)
        return None if claim is not None and claim.busy else due(world, holder)

    patch.setattr("parkade.core.kernel.deadlines.launch_due_us", stuck)


def _waits_for_whole_markets(patch: pytest.MonkeyPatch) -> None:
    claims = clearing_input._claims

    def shy(world: Any, market: Any) -> Any:
        is_whole = all(node.is_open for node in world.records.nodes.values())
        return claims(world, market) if is_whole else []

    patch.setattr(clearing_input, "_claims", shy)


def _hands_back_and_forth(patch: pytest.MonkeyPatch) -> None:
    demand = demands.Demands._of

    def restless(self: Any, workload: Any) -> Any:
        made = demand(self, workload)
        is_even = self._world.records.markets[workload.market].clearings % 2 == 0
        return replace(made, seats=(), limit_micros=1) if is_even and made.seats else made

    patch.setattr(demands.Demands, "_of", restless)


def _concludes_before_the_lease(patch: pytest.MonkeyPatch) -> None:
    lapse = lapses.lapse_due_us

    def hasty(world: Any, workload: Any) -> int | None:
        due_us = lapse(world, workload)
        return None if due_us is None else due_us - 2 * workload.attempt.lease_us

    patch.setattr("parkade.core.kernel.deadlines.lapse_due_us", hasty)


def _keeps_notices_to_itself(patch: pytest.MonkeyPatch) -> None:
    attempt_of = outbox.desired_attempt

    def silent(world: Any, workload: Any, attempt: Any) -> Any:
        return replace(attempt_of(world, workload, attempt), stop=None)

    patch.setattr(outbox, "desired_attempt", silent)


def _orders_every_generation(patch: pytest.MonkeyPatch) -> None:
    attempt_of = outbox.desired_attempt

    def doubled(world: Any, workload: Any, attempt: Any) -> Any:
        made = attempt_of(world, workload, attempt)
        return replace(made, attempt=f"{made.attempt}9")

    patch.setattr(outbox, "desired_attempt", doubled)


def _charges_the_grown_node_twice(patch: pytest.MonkeyPatch) -> None:
    parts = Rate.parts

    def generous(self: Rate, gpus: int) -> tuple[tuple[int, int], ...]:
        made = parts(self, gpus)
        each = gpus // max(1, len(self.node_prices))
        return (*made, (each, self.node_prices[-1])) if len(self.node_prices) > 2 else made

    patch.setattr(Rate, "parts", generous)


def _shrinks_below_its_least(patch: pytest.MonkeyPatch) -> None:
    sizes_of = market_sizes.sizes_of

    def desperate(*args: Any) -> Any:
        made = sizes_of(*args)
        return None if made is None else made._replace(least=1)

    patch.setattr(spot, "sizes_of", desperate)


def _grows_without_a_promise(patch: pytest.MonkeyPatch) -> None:
    launch = promises.launch

    def greedy(world: Any, holder: str, at_us: int) -> Any:
        made = launch(world, holder, at_us)
        return tuple(_with_one_more(world, it) for it in made)

    patch.setattr("parkade.core.kernel.deadlines.launch", greedy)


def _with_one_more(world: Any, event: Any) -> Any:
    """A launch with a node more than was promised, which nothing holds."""
    if not isinstance(event, events.Launched):
        return event
    attempt, spec = event.attempt, world.records.workloads[event.workload].spec
    promised = {seat.node for seat in attempt.seats}
    free = [
        node.node
        for node in world.records.nodes.values()
        if node.is_open and not world.held_on[node.node] and node.node not in promised
    ]
    if len(attempt.seats) >= spec.most_nodes or not free:
        return event
    more = Seat(node=free[0], gpus=spec.gpus)
    return replace(event, attempt=replace(attempt, seats=(*attempt.seats, more)))


def _prices_each_node_as_the_last(patch: pytest.MonkeyPatch) -> None:
    asked_for = market_sizes.asked_for

    def uniform(*args: Any) -> Any:
        made = asked_for(*args)
        return made[-1:] * len(made)

    patch.setattr(bounded, "asked_for", uniform)


def _prices_each_node_as_the_first(patch: pytest.MonkeyPatch) -> None:
    asked_for = market_sizes.asked_for

    def cheap(*args: Any) -> Any:
        made = asked_for(*args)
        return made[:1] * len(made)

    patch.setattr(bounded, "asked_for", cheap)


def _grows_at_once(patch: pytest.MonkeyPatch) -> None:
    def hasty(_terms: Any, _nodes: int, started_us: int | None, _now_us: int) -> int:
        return 0 if started_us is None else 1

    patch.setattr(clearing_sizes, "_grows_by", hasty)


def _never_grows(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clearing_sizes, "_grows_by", lambda *_: 0)


def _gives_up_its_first_rank(patch: pytest.MonkeyPatch) -> None:
    sized = allocation._sized

    def backwards(demands: Any, parts: Any) -> Any:
        made = sized(demands, parts)
        for demand in demands:
            cut = made.get(demand.demand)
            if cut is not None and len(cut.seats) < len(demand.seats):
                made[demand.demand] = replace(cut, seats=demand.seats[-len(cut.seats) :])
        return made

    patch.setattr(allocation, "_sized", backwards)


def _counts_a_resize_as_a_failure(patch: pytest.MonkeyPatch) -> None:
    judge = observations._judge

    def unjust(*args: Any, **named: Any) -> Any:
        judged = judge(*args, **named)
        stop = args[1].attempt.stop
        is_resized = stop is not None and stop.cause is Cause.RESIZED
        return replace(judged, failures=judged.failures + 1) if is_resized else judged

    patch.setattr(observations, "_judge", unjust)


def _opens_one_too_many(patch: pytest.MonkeyPatch) -> None:
    room = running_arrays._room
    patch.setattr(running_arrays, "_room", lambda world, array: room(world, array) + 1)


def _opens_the_last_first(patch: pytest.MonkeyPatch) -> None:
    def greatest(spans: Any, most: int) -> Any:
        return tuple((index, index) for index in list(indexes.indexes(spans))[-most:])

    patch.setattr(indexes, "least", greatest)


def _opens_while_held(patch: pytest.MonkeyPatch) -> None:
    due_us = running_arrays.members_due_us

    def eager(world: Any, array: Any) -> int | None:
        is_held = array.phase is Phase.HELD
        return due_us(world, replace(array, phase=Phase.QUEUED) if is_held else array)

    patch.setattr("parkade.core.kernel.deadlines.members_due_us", eager)


def _takes_a_cancelled_member_for_one_that_succeeded(patch: pytest.MonkeyPatch) -> None:
    ended = members.with_ended

    def kind(array: Any, of: Any, phase: Phase) -> Any:
        return ended(array, of, Phase.SUCCEEDED if phase is Phase.CANCELLED else phase)

    patch.setattr(members, "with_ended", kind)


def _ends_with_the_last_that_waits(patch: pytest.MonkeyPatch) -> None:
    settled_of = members.settled

    def hasty(world: Any, array: Any) -> Any:
        has_any = any(getattr(array.array, end) for end in ("failed", "cancelled", "succeeded"))
        if array.array.waiting or not has_any or array.phase.is_ended:
            return settled_of(world, array)
        return replace(array, phase=Phase.CANCELLED, ended_us=world.records.now_us)

    patch.setattr(members, "settled", hasty)


def _numbers_attempts_anew(patch: pytest.MonkeyPatch) -> None:
    with_end = members._with_end

    def forgetful(*given: Any) -> Any:
        array = with_end(*given)
        assert array.array is not None
        return replace(array, array=replace(array.array, generations=0))

    patch.setattr(members, "_with_end", forgetful)


def _cancels_all_for_some(patch: pytest.MonkeyPatch) -> None:
    open_of = running_arrays.open_of
    patch.setattr(running_arrays, "open_of", lambda world, array, _: open_of(world, array, None))


def _prices_winners_by_their_own_losers(patch: pytest.MonkeyPatch) -> None:
    add_query = CounterfactualSweep.add_query

    def blind(self: Any, difference: Any, shape: Any, query: Any, _array: str = "") -> None:
        add_query(self, difference, shape, query)

    patch.setattr(CounterfactualSweep, "add_query", blind)


def _opens_none_after_an_end(patch: pytest.MonkeyPatch) -> None:
    due_us = running_arrays.members_due_us

    def tired(world: Any, array: Any) -> int | None:
        is_tired = array.array is not None and bool(array.array.ended)
        return None if is_tired else due_us(world, array)

    patch.setattr("parkade.core.kernel.deadlines.members_due_us", tired)


IN_ARRAYS = (
    Fault(name="one more member is open than the array asked for",
          plant=_opens_one_too_many, scenario=SWEEP, invariants=(37,)),
    Fault(name="the last members are opened first",
          plant=_opens_the_last_first, scenario=SWEEP, invariants=(37,)),
    Fault(name="a held array opens members",
          plant=_opens_while_held, scenario=SWEEP, invariants=(37,)),
    Fault(name="a member that was cancelled counts as one that succeeded",
          plant=_takes_a_cancelled_member_for_one_that_succeeded, scenario=SWEEP,
          invariants=(37,)),
    Fault(name="an array ends while members are open",
          plant=_ends_with_the_last_that_waits, scenario=SWEEP, invariants=(0, 37)),
    Fault(name="a retried member's attempts are numbered from one",
          plant=_numbers_attempts_anew, scenario=SWEEP, invariants=(22,)),
    Fault(name="all open members are cancelled where some are meant",
          plant=_cancels_all_for_some, scenario=SWEEP, invariants=(37,)),
    Fault(name="members that wait set the price of the others",
          plant=_prices_winners_by_their_own_losers, scenario=CROWD, invariants=(14,)),
)  # fmt: skip

IN_THE_PROTOCOL = (
    Fault(name="a silent guest is concluded before its lease is over",
          plant=_concludes_before_the_lease, scenario=_protocol(Asks(0)), invariants=(8,)),
    Fault(name="the agent is told another attempt than the plane knows",
          plant=_orders_every_generation, scenario=_protocol(Asks(0)), invariants=(8,)),
    Fault(name="what the agent does not see yet is taken to have ended",
          plant=_takes_absence_for_an_exit, scenario=_protocol(Asks(0)), invariants=(7,)),
)  # fmt: skip

NEVER_AT_REST = (
    Fault(name="the agent is not told that an attempt must leave",
          plant=_keeps_notices_to_itself, scenario=_protocol(Asks.CANCELS), invariants=(2, 12)),
    Fault(name="a node that a claim misses is never asked for",
          plant=_forgets_missing_nodes, scenario=COMPLETED, invariants=(1,)),
    Fault(name="what waits for another is forgotten when that ends",
          plant=_forgets_who_waits, scenario=CHAIN, invariants=(36,)),
    Fault(name="a claim that had to wait is never seated",
          plant=_never_seats_who_waited, scenario=RECLAIM, invariants=(1,)),
    Fault(name="a claim waits while another node is broken",
          plant=_waits_for_whole_markets, scenario=OWNED, invariants=(1,)),
    Fault(name="an array opens no member after one has ended",
          plant=_opens_none_after_an_end, scenario=SWEEP, invariants=(37,)),
    Fault(name="elastic work never grows again",
          plant=_never_grows, scenario=GROWN, invariants=(26,)),
)  # fmt: skip
"""Found only on the way to rest."""

IN_ELASTIC_WORK = (
    Fault(name="the node by which it grew is charged twice",
          plant=_charges_the_grown_node_twice, scenario=ELASTIC, invariants=(13,)),
    Fault(name="elastic work shrinks below its least",
          plant=_shrinks_below_its_least, scenario=SHORT, invariants=(6, 26)),
    Fault(name="elastic work that shrank starts on the node that it gave up, too",
          plant=_grows_without_a_promise, scenario=ELASTIC, invariants=(3,)),
    Fault(name="each node costs what the last one costs",
          plant=_prices_each_node_as_the_last, scenario=RIVALS, invariants=(14,)),
    Fault(name="each node costs what the first one costs",
          plant=_prices_each_node_as_the_first, scenario=RIVALS, invariants=(14,)),
    Fault(name="elastic work grows before it has run for the time that it must",
          plant=_grows_at_once, scenario=ELASTIC, invariants=(26,)),
    Fault(name="elastic work that shrinks gives up its first rank",
          plant=_gives_up_its_first_rank, scenario=ELASTIC, invariants=(26,)),
    Fault(name="a resize counts as a failure",
          plant=_counts_a_resize_as_a_failure, scenario=GROWN, invariants=(5,)),
)  # fmt: skip

FAULTS = (
    Fault(name="a promise is dropped when its holder has left its old seats",
          plant=_drops_promise, scenario=SPARE, invariants=(3,)),
    Fault(name="what lending earns is paid twice",
          plant=_pays_twice, scenario=RECLAIM, invariants=(13,)),
    Fault(name="the promised seats of an owner are chosen anew in every clearing",
          plant=_rechooses_owners_seats, scenario=GUESTS, invariants=(1,)),
    Fault(name="a claim loses its well nodes when one breaks",
          plant=_gives_up_broken_claims, scenario=CLAIMED, invariants=(1,)),
    Fault(name="an owner is seated in another fabric, so that a guest need not move",
          plant=_seats_owners_where_it_is_free, scenario=ABROAD, invariants=(9,)),
    Fault(name="what a report does not name is taken to have ended",
          plant=_takes_absence_for_an_exit, scenario=RECLAIM, invariants=(7,)),
    Fault(name="the earmark of what has ended is not released",
          plant=_keeps_earmark, scenario=CONTEST, invariants=(13,)),
    Fault(name="an id is given again",
          plant=_reuses_ids, scenario=CONTEST, invariants=(22,)),
    Fault(name="seats are handed over before their holder has left",
          plant=_seats_before_the_leaver_left, scenario=RECLAIM, invariants=(8,)),
    Fault(name="a node changes its tenant without turnaround",
          plant=_skips_turnaround, scenario=RECLAIM, invariants=(16,)),
    Fault(name="a guest is killed without its notice",
          plant=_kills_at_once, scenario=RECLAIM, invariants=(11,)),
    Fault(name="a preemption counts as a failure",
          plant=_counts_preemption_as_failure, scenario=RECLAIM, invariants=(5,)),
    Fault(name="a guest pays above its limit",
          plant=_charges_above_the_limit, scenario=RECLAIM, invariants=(14,)),
    Fault(name="a guest pays less than the floor",
          plant=_charges_no_floor, scenario=RECLAIM, invariants=(14,)),
    Fault(name="a cordoned node takes newcomers",
          plant=_seats_on_cordoned_nodes, scenario=SPARE, invariants=(16,)),
    Fault(name="a bid that made others leave is given up for nothing",
          plant=_withdraws_for_free, scenario=CONTEST, invariants=(19,)),
    Fault(name="those that a moved bid pushes out are forgotten",
          plant=_forgets_whom_movers_push_out, scenario=MOVED, invariants=(19,)),
    Fault(name="a preempted bid wins again before its back-off is over",
          plant=_ignores_backoff, scenario=RECLAIM, invariants=(10,)),
    Fault(name="a gang starts with half its seats",
          plant=_starts_half_a_gang, scenario=GANG, invariants=(3, 6)),
    Fault(name="what waits for a success starts after a failure",
          plant=_takes_a_failure_for_a_success, scenario=CHAIN, invariants=(36,)),
    Fault(name="a node is sold twice",
          plant=_sells_twice, scenario=SOLD, invariants=(9,)),
    Fault(name="a report of another launch is believed",
          plant=_believes_strangers, scenario=RECLAIM, invariants=(6,)),
    Fault(name="every other clearing takes seats away that the next gives again",
          plant=_hands_back_and_forth, scenario=CONTEST, invariants=(4,)),
    Fault(name="what has ended still holds its seats",
          plant=_keeps_seats_of_what_ended, scenario=RECLAIM, invariants=(2, 3)),
    Fault(name="a promise is not looked at when a node becomes free",
          plant=_forgets_a_deadline, scenario=RECLAIM, invariants=(1, 15)),
)  # fmt: skip
