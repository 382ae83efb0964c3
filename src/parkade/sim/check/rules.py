"""What an event may do, asked before it is evolved: rules of steps, which no state can show.

The core's `check` looks at a state; these look at what leads from one to the next. They read the
records alone and share no code with the decisions.
"""

from collections.abc import Sequence

from parkade.core.billing.minimum import minimum_rate
from parkade.core.fleet.maintenance import is_window
from parkade.core.fleet.node import OTHERS
from parkade.core.fleet.seat import Seat
from parkade.core.ledger.accounts import TransferKind
from parkade.core.reservations.reservation import Claim
from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.units.money import ceil_div
from parkade.core.workloads.choices import limit_in, markets_of
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.observed import EnginePhase
from parkade.core.workloads.saving import EXIT_FOR_GOOD
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Rate, Workload
from parkade.sim.check import arrays, changes, elastic, jobs, lists, live, rights
from parkade.sim.check.breach import require
from parkade.sim.check.homes import fits_at_home, is_owned
from parkade.sim.check.movers import look_at_movers
from parkade.sim.check.open_nodes import is_open

_OTHER_ENDS = (Phase.FAILED, Phase.CANCELLED, Phase.EXPIRED)
_FAILS = (None, Cause.NOT_STARTED)
"""The causes of an end that may count as a failure: none, or that it never started."""


def look_at_decision(
    world: World, command: commands.AnyCommand, decided: Sequence[events.AnyEvent], now_us: int
) -> None:
    """The rules of a whole decision, before any of it is evolved."""
    released: set[str] = set()
    if isinstance(command, commands.ReportAttempts):
        released = {it.attempt for it in command.attempts if it.phase is EnginePhase.RELEASED}
        _look_at_report(world, command, decided)
        live.look_at_decision(command, decided, world)
    for event in decided:
        require(event.at_us <= now_us, 15, f"{type(event).__name__} is dated after the present")
        if isinstance(event, events.Ended):
            require(event.attempt in released, 7, f"{event.attempt} ended and no report says so")
    if isinstance(command, commands.Cancel | commands.ChangeBid | commands.Retry):
        arrays.look_at_decision(command, decided)
    if isinstance(command, commands.Cancel | commands.Hold):
        _look_at_withdrawal(world.records.workloads[command.workload], decided)


def _look_at_report(
    world: World, command: commands.ReportAttempts, decided: Sequence[events.AnyEvent]
) -> None:
    """What is reported of another launch than the one that is known changes nothing."""
    if not decided:
        return
    for seen in command.attempts:
        workload = world.records.workloads.get(seen.attempt.rpartition(".")[0])
        attempt = None if workload is None else workload.attempt
        is_known = (
            attempt is not None
            and seen.attempt == attempt.attempt
            and seen.generation == attempt.generation
            and seen.ordered_us in (None, attempt.ordered_us)
        )
        named = [it for it in decided if getattr(it, "attempt", None) == seen.attempt]
        says = f"a report of {seen.attempt} is of another launch, and it is believed"
        require(is_known or not (named or len(command.attempts) == 1), 6, says)


def _look_at_withdrawal(workload: Workload, decided: Sequence[events.AnyEvent]) -> None:
    """A promise for which others had to leave, or whose seats were idle for its own org, is paid
    for when it is given up."""
    promise, attempt = workload.promise, workload.attempt
    if promise is None or not decided:
        return
    if not (promise.owes_minimum or promise.waited_us(decided[0].at_us)):
        return
    if attempt is not None and attempt.broken_us is not None:
        return
    _, rate = minimum_rate(workload, promise)
    if rate.price_micros == 0:
        return
    is_charged = any(isinstance(event, events.WithdrawalCharged) for event in decided)
    name = workload.workload
    require(is_charged, 19, f"{name} gave up seats that it kept from others, and paid nothing")


def look_at(world: World, event: events.AnyEvent) -> None:
    """The rules of one event. Cost grows with what it names."""
    match event:
        case events.Cleared():
            _look_at_clearing(world, event)
        case events.Launched():
            _look_at_launch(world, event)
        case events.ClaimSeated(claim=name, nodes=tuple(nodes), runs_there=True):
            says = f"{name} is given {nodes}, and its job does not run there"
            require(set(nodes) <= set(world.records.claims[name].runs_on), 6, says)
        case events.ClaimSeated(claim=name):
            claim = world.records.claims[name]
            given = claim.seats
            if event.nodes is not None:
                promised = (it.seat for it in claim.replacements)
                given = tuple(seat for seat in promised if seat.node in event.nodes)
                is_promised = len(given) == len(event.nodes)
                require(is_promised, 3, f"{name} gets {event.nodes}, which it was not promised")
            _look_at_seats(world, claim.org, given, event.at_us, name)
        case events.Ended():
            _look_at_end(world, event)
        case events.StopOrdered():
            _look_at_stop(world, event)
            changes.look_at_expiry(world, event)
        case events.NodeUncordoned(node=node, holder=holder):
            holders = {cordon.holder for cordon in world.records.nodes[node].cordons}
            lifts = event.by or (OTHERS if holder == OTHERS else "server")
            is_own = holder in holders and (is_window(holder) or holder == lifts)
            require(is_own, 17, f"{holder}'s cordon of {node} is lifted by {event.by}")
        case events.DependenciesMet(workload=name, met=met):
            for one in met:
                other = world.records.workloads[one.workload]
                says = f"{name} goes on after {one}, and that is {other.phase}"
                require(came_about(other, one.condition) is True, 36, says)
        case events.UsePosted():
            _look_at_use(world, event)
        case events.ReservationDivided():
            rights.look_at_divided(world, event)
        case events.ReservationPaid():
            rights.look_at_paid(world, event)
        case events.ReservationChanged():
            rights.look_at_changed(world, event)
        case events.Resubmitted():
            changes.look_at_resubmitted(world, event)
        case events.BoundsChanged():
            changes.look_at_bounds(world, event)
        case events.EntryTaken():
            lists.look_at_entry(world, event)
        case events.RanksChanged(workload=name):
            live.look_at_changed(world, event)
            org = world.records.workloads[name].org
            _look_at_seats(world, org, live.joined_seats(world, event), event.at_us, name)
        case events.MembersOpened():
            arrays.look_at_opened(world, event)
        case events.MembersEnded() | events.MembersRetried():
            arrays.look_at_moved(world, event)
        case events.Submitted(workload=workload):
            number = world.records.counters.get("workload", 0) + 1
            is_new = workload.workload == f"w{number}"
            require(is_new, 22, f"{workload.workload} is not the next id, w{number}")
        case _:
            return


def came_about(other: Workload, condition: str) -> bool | None:
    """Whether what is waited for came about; None where it still may."""
    if condition == "after" and other.first_started_us is not None:
        return True
    if not other.phase.is_ended:
        return None
    wants = {"after_ok": (Phase.SUCCEEDED,), "after_not_ok": _OTHER_ENDS}
    return other.phase in wants.get(condition, (Phase.SUCCEEDED, *_OTHER_ENDS))


def _look_at_clearing(world: World, event: events.Cleared) -> None:
    changes.look_at_caps(world, event)
    jobs.look_at_tries(world, event)
    lists.look_at_bought(world, event)
    live.look_at_clearing(world, event)
    moved = {lines.name_of(won.demand): won for won in event.won}
    for leaving in event.left:
        name = lines.name_of(leaving.demand)
        if isinstance(leaving.demand, lines.ClaimDemand):
            _look_at_lost_claim(world, world.records.claims[name], ())
            continue
        workload = world.records.workloads[name]
        if leaving.stop is not None:
            _look_at_notice(world, workload, leaving, event.at_us)
        if leaving.stop is not None and leaving.stop.cause is Cause.MOVED:
            won = moved.get(name)
            has_cause = won is not None and (won.moved or leaving.moved) is not None
            require(has_cause, 21, f"{name} is moved and no cause is recorded")
    for kept in event.claims:
        _look_at_kept(world, kept)
    look_at_movers(world, event)
    left = {lines.name_of(it.demand): it for it in event.left}
    for name, won in moved.items():
        _look_at_winner(world, name, won, event)
        winner = world.records.workloads.get(name)
        if winner is not None:
            elastic.look_at_size(world, winner, won, left.get(name), event.at_us)
            elastic.look_at_rate(winner, won.promise.rates[-1], len(won.promise.seats))
    for repriced in event.repriced:
        elastic.look_at_repriced(world.records.workloads[repriced.workload], repriced.rate)


def _look_at_notice(world: World, workload: Workload, leaving: lines.Leaving, at_us: int) -> None:
    attempt, stop = workload.attempt, leaving.stop
    assert stop is not None
    name = workload.workload
    require(attempt is not None, 12, f"{name} has no attempt and gets a notice")
    assert attempt is not None
    terms = world.records.markets[workload.market].terms
    least_us = min(terms.notice_us, terms.heal_notice_us)
    require(attempt.stop is None, 11, f"{name} is leaving already and gets a second notice")
    has_notice = stop.deadline_us >= at_us + least_us
    has_kill = stop.kill_us >= stop.deadline_us + terms.kill_us
    require(has_notice and has_kill, 11, f"{name} is to be killed before its notice is over")
    if workload.spec.capacity.kind is not CapacityKind.ON_DEMAND or attempt.broken_us is not None:
        return
    are_open = all(is_open(world, seat.node) for seat in attempt.seats)
    displacing = (Cause.RECLAIMED, Cause.OUTBID, Cause.BELOW_FLOOR, Cause.MOVED)
    is_displaced = stop.cause in displacing
    says = f"{name} is on-demand and is displaced from nodes that are in play"
    require(not (are_open and is_displaced), 20, says)


def _look_at_lost_claim(world: World, claim: Claim, seats: tuple[Seat, ...]) -> None:
    """A claim keeps each open node that it holds in its own fabrics, as many as it reserved there.
    One that was not handed over yet is whole nodes or none: broken, it may be seated anew."""
    reservation = world.records.reservations[claim.reservation]
    if not reservation.state.takes_part:
        return
    is_whole = all(is_open(world, seat.node) for seat in claim.seats)
    if claim.seated_us is None and not is_whole:
        return
    kept = {seat.node for seat in seats}
    fabrics = [world.records.nodes[seat.node].fabric for seat in claim.seats]
    for seat, fabric in zip(claim.seats, fabrics, strict=True):
        is_own = fabrics.count(fabric) <= dict(reservation.shape).get(fabric, 0)
        is_lost = seat.node not in kept and is_open(world, seat.node)
        says = f"{claim.claim} loses {seat.node}, which is open and in its own fabric"
        require(not (is_own and is_lost), 1, says)


def _look_at_kept(world: World, kept: lines.ClaimKept) -> None:
    """A claim that was handed over keeps its open nodes, and gets others where it stands or at
    home."""
    claim, name = world.records.claims[kept.claim], kept.claim
    reservation = world.records.reservations[claim.reservation]
    require(claim.seated_us is not None, 6, f"{name} was not handed over and keeps some nodes")
    require(bool(kept.seats), 6, f"{name} keeps no node and counts as handed over")
    _look_at_lost_claim(world, claim, kept.seats)
    before = {it.seat.node for it in claim.replacements}
    given = {it.seat.node for it in kept.replacements}
    for node in sorted(before - given):
        says = f"{name} is no longer promised {node}, which is open"
        require(not is_open(world, node), 1, says)
    fabrics = {world.records.nodes[seat.node].fabric for seat in claim.seats}
    fabrics |= {fabric for fabric, _ in reservation.shape}
    for node in sorted(given - before):
        says = f"{name} is promised {node}, which takes no newcomers"
        require(is_open(world, node), 16, says)
        is_near = world.records.nodes[node].fabric in fabrics
        require(is_near, 9, f"{name} is promised {node}, beyond where it stands and its own")


def _look_at_winner(world: World, name: str, won: lines.Won, event: events.Cleared) -> None:
    at_us = event.at_us
    had: tuple[Seat, ...] = ()
    claim = world.records.claims.get(name)
    if claim is not None:
        _look_at_lost_claim(world, claim, won.promise.seats)
        _look_at_shape(world, claim, won.promise.seats)
        _look_at_home(world, claim, won.promise.seats, event)
        had = claim.seats
    else:
        workload = world.records.workloads[name]
        holder = workload.promise or workload.attempt
        had = holder.seats if holder is not None else ()
        waits = workload.promise is None and workload.attempt is None
        may_start = workload.not_before_us <= at_us and workload.phase is not Phase.HELD
        require(may_start or not waits, 10, f"{name} is promised seats before its back-off is over")
        market = _look_at_market(world, workload, won)
        for rate in won.promise.rates:
            _look_at_price(world, market, workload, rate)
    before = {seat.node for seat in had}
    for seat in won.promise.seats:
        is_new = seat.node not in before
        says = f"{name} is promised {seat.node}, which takes no newcomers"
        require(not is_new or is_open(world, seat.node), 16, says)


def _look_at_market(world: World, workload: Workload, won: lines.Won) -> str:
    """A bid wins in one of its markets, at its limit there, and leaves what it has in another. The
    market."""
    name = workload.workload
    found = {world.records.nodes[seat.node].market for seat in won.promise.seats}
    require(len(found) == 1, 43, f"{name} is promised seats in {len(found)} markets")
    (market,) = found
    require(market in markets_of(workload), 43, f"{name} is promised seats in {market}")
    limit = limit_in(workload, market)
    highest = max(max((rate.price_micros, *rate.node_prices)) for rate in won.promise.rates)
    says = f"{name} would pay {highest} in {market}, its limit there is {limit}"
    require(limit is None or highest <= limit, 14, says)
    return market


def _look_at_shape(world: World, claim: Claim, seats: tuple[Seat, ...]) -> None:
    """An owner is given nodes in as few fabrics as it reserved."""
    reservation = world.records.reservations[claim.reservation]
    fabrics = {world.records.nodes[seat.node].fabric for seat in seats}
    says = f"{claim.claim} is scattered over {', '.join(sorted(fabrics))}"
    require(len(fabrics) <= len(reservation.shape), 9, says)


def _look_at_home(
    world: World, claim: Claim, seats: tuple[Seat, ...], event: events.Cleared
) -> None:
    """A claim that waited is given nodes of its own fabrics where these hold it, although guests
    must move for it; but for nodes that it keeps, which come at once wherever they are."""
    reservation = world.records.reservations[claim.reservation]
    own, nodes = dict(reservation.shape), world.records.nodes
    lending = reservation.lending
    is_kept = lending is None or lending.keep > 0
    if claim.seats or is_kept or all(nodes[seat.node].fabric in own for seat in seats):
        return
    taken = {
        seat.node
        for won in event.won
        if lines.name_of(won.demand) != claim.claim and is_owned(world, lines.name_of(won.demand))
        for seat in won.promise.seats
    }
    taken |= {it.seat.node for kept in event.claims for it in kept.replacements}
    says = f"{claim.claim} is given {[seat.node for seat in seats]}, and its own fabrics hold it"
    require(not fits_at_home(world, claim, claim.nodes, taken), 9, says)


def _look_at_price(world: World, market: str, workload: Workload, rate: Rate) -> None:
    if workload.spec.capacity.kind is not CapacityKind.SPOT:
        return
    terms = world.records.markets[market].terms
    fee = terms.fee
    floors = [terms.public_floor_micros]
    for reservation in world.records.reservations.values():
        if reservation.lending is not None and not reservation.state.is_over:
            floor = reservation.lending.floor_micros * fee.denominator
            floors.append(ceil_div(floor, fee.denominator - fee.numerator))
    says = f"{workload.workload} would pay {rate.price_micros}, below every floor"
    require(rate.price_micros >= min(floors), 14, says)
    least = rate.floor_micros
    says = f"{workload.workload} would pay {rate.price_micros}, the floor it draws is {least}"
    highest = max((rate.price_micros, *rate.node_prices))
    require(least is None or highest >= least, 14, says)


def _look_at_launch(world: World, event: events.Launched) -> None:
    workload, attempt = world.records.workloads[event.workload], event.attempt
    name = event.workload
    has_promise = workload.promise is not None and workload.promise.seats == attempt.seats
    require(has_promise, 3, f"{name} is launched on seats that it was not promised")
    require(attempt.generation > workload.generation, 6, f"{name} starts an old generation again")
    _look_at_seats(world, workload.org, attempt.seats, event.at_us, name)


def _look_at_seats(world: World, org: str, seats: tuple[Seat, ...], at_us: int, name: str) -> None:
    for seat in seats:
        node = world.records.nodes[seat.node]
        held = world.held_on[seat.node]
        gpus = sum(held.values())
        says = f"{name} gets {seat.node}, which {', '.join(held)} has not left"
        require(gpus + seat.gpus <= node.gpus, 8, says)
        if node.last_org in (None, org):
            continue
        clean_us = node.vacated_us + world.records.markets[node.market].terms.turnaround_us
        says = f"{name} gets {seat.node} before {node.last_org}'s turnaround is over"
        require(not held and at_us >= clean_us, 16, says)


def _look_at_end(world: World, event: events.Ended) -> None:
    workload = world.records.workloads[event.workload]
    attempt, name = workload.attempt, event.workload
    require(attempt is not None, 6, f"{name} ends and has no attempt")
    assert attempt is not None
    require(event.attempt == attempt.attempt, 6, f"{event.attempt} ends, {attempt.attempt} runs")
    cause = None if attempt.stop is None else attempt.stop.cause
    if event.failures > workload.failures:
        is_own = cause in _FAILS and attempt.broken_us is None
        require(is_own, 5, f"{name} is told to leave ({cause}), and that counts as a failure")
        never_ran = cause is Cause.NOT_STARTED and attempt.started_us is None
        is_seen = never_ran or not event.summary.startswith("lost")
        require(is_seen, 5, f"{name} ended unseen, and that counts as a failure")
    if event.phase is Phase.FAILED:
        is_spent = event.failures > workload.spec.retry_failures
        require(
            is_spent or event.exit_code == EXIT_FOR_GOOD,
            5,
            f"{name} has failed before its failures are used up",
        )
    is_promised = workload.promise is not None and not event.phase.is_ended
    says = f"{name} has left for the seats that it is promised, and they are dropped"
    require(not is_promised or event.phase is Phase.PLACED, 3, says)


def _look_at_stop(world: World, event: events.StopOrdered) -> None:
    workload = world.records.workloads[event.workload]
    attempt, stop, name = workload.attempt, event.stop, event.workload
    assert attempt is not None
    before = attempt.stop
    if before is not None:
        is_same = stop.noticed_us == before.noticed_us and stop.kill_us <= before.kill_us
        require(is_same, 11, f"{name}'s notice moves back")
        return
    terms = world.records.markets[workload.market].terms
    has_time = stop.kill_us >= event.at_us + terms.kill_us
    is_now = stop.cause in (Cause.CANCELLED, Cause.NOT_STARTED)
    has_notice = is_now or stop.deadline_us >= event.at_us + terms.notice_us
    require(has_time and has_notice, 11, f"{name} is to be killed before its notice is over")


def _outbid_gpus(attempt: Attempt) -> int:
    """Its GPUs on nodes whose guests it outbid: all that it owes the minimum for, where that is
    more than its own price."""
    debt = attempt.debt
    if debt is None:
        return 0
    return sum(seat.gpus for seat in attempt.seats if debt.outbid_on(seat.node))


def _look_at_use(world: World, event: events.UsePosted) -> None:
    workload = world.records.workloads[event.workload]
    attempt, name = workload.attempt, event.workload
    assert attempt is not None
    elastic.look_at_parts(attempt, event.transfers)
    is_later = event.charged_until_us >= attempt.charged_until_us
    require(is_later, 13, f"{name} is charged for a time that it was charged for")
    kill_us = None if attempt.stop is None else attempt.stop.kill_us
    paid = received = 0
    for transfer in event.transfers:
        if transfer.use is None:
            paid += transfer.micros
            continue
        received += transfer.micros
        use = transfer.use
        is_part = any(rate.node_prices for rate in attempt.rates)
        is_part |= transfer.kind is TransferKind.MINIMUM_CHARGE and use.gpus == _outbid_gpus(
            attempt
        )
        is_all = use.gpus == attempt.gpus or is_part
        # What its promise held idle is charged with its start, as time before it.
        waited_us = attempt.waited_us if transfer.kind is TransferKind.LATE_START else 0
        is_whole = use.start_us >= attempt.charged_until_us - waited_us and is_all
        require(is_whole, 13, f"{name} is charged twice for a time, or for other GPUs")
        if transfer.kind.value == "usage":
            is_before = kill_us is None or use.end_us <= kill_us
            require(is_before, 13, f"{name} is charged for a time after its kill")
            exact = use.price_micros * use.gpus * (use.end_us - use.start_us)
            is_exact = abs(transfer.micros * 3_600_000_000 - exact) < 3_600_000_000
            require(is_exact, 13, f"{name} is charged {transfer.micros} for {exact} / 3.6e9")
    held = world.ledger.balance(f"clearing/{workload.market}")
    require(paid <= held + received, 13, f"more is paid out of {workload.market} than it holds")
