"""Reservations that change: what may be asked of a right, its form, and what must hold of a part.

A right is split, handed over to another org, given up in part, ended with its period, and made to
last longer. What is asked of it here is read from the records, with no code of the decisions. At
most `MOST_RIGHTS` are there at a time, so that a search meets its states again.

Example. Acme has two nodes until its period ends; one of them is handed over to birch. Before and
after two nodes are reserved until then, and what was paid ahead for them is the same in all.
"""

from collections.abc import Iterator
from typing import Any

from parkade.core.ledger.accounts import prepaid_account
from parkade.core.reservations.reservation import Reservation, ReservationState
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.money import amount_of
from parkade.sim.check.breach import require
from parkade.sim.check.scenarios import PERIOD_US

MOST_RIGHTS = 3
OTHER = "birch"
"""The org to which a right may be handed over."""
_FAR_US = 3 * PERIOD_US


def asked_of_rights(world: World, now_us: int) -> Iterator[commands.AnyCommand]:
    """What owners and the operator may ask. A part's name was never given before; an end that is
    more than a period away is not moved."""
    rights = world.records.reservations
    alive = sum(not it.state.is_over for it in rights.values())
    name = f"part-{len(rights)}"
    for right in rights.values():
        if right.state is not ReservationState.IN_FORCE:
            continue
        whole = right.reservation
        if alive < MOST_RIGHTS:
            if right.nodes > 1:
                yield commands.SplitReservation(by=None, reservation=whole, nodes=1, name=name)
                yield commands.ShrinkReservation(by=None, reservation=whole, nodes=1)
            if right.org != OTHER:
                yield commands.SplitReservation(
                    by=None, reservation=whole, nodes=1, name=name, org=OTHER
                )
        if right.window.end_us is None:
            yield commands.EndReservation(by=None, reservation=whole)
        elif right.window.end_us <= now_us + PERIOD_US:
            later_us = right.window.end_us + PERIOD_US
            yield commands.ExtendReservation(by=None, reservation=whole, end_us=later_us)


def labels_of(world: World) -> dict[str, str]:
    """Rights by their order, which is all that their names decide: the older, then by name. Keys
    are apart from names of orgs."""
    alive = [it for it in world.records.reservations.values() if not it.state.is_over]
    alive.sort(key=lambda it: (it.created_us, it.reservation))
    return {f"/{it.reservation}": f"r{index}" for index, it in enumerate(alive)}


def span_left_us(at_us: int | None, now_us: int) -> int | None:
    """Until an end or a payment. Where rights change none is three periods away; elsewhere it is
    too far ahead for a search to reach it."""
    return None if at_us is None else min(max(0, at_us - now_us), _FAR_US)


_KNOWN_RIGHTS: dict[tuple[Any, ...], tuple[tuple[Reservation, ...], list[Any]]] = {}
"""The last form of all rights at an instant, under a renaming, beside the rights: those that follow
from one state differ in few acts, so it is made once and not for each."""

_MOST_KNOWN = 64


def form_of_rights(
    reservations: dict[str, Reservation], renaming: dict[str, str], now_us: int
) -> list[Any]:
    """All rights that are not over, in their order of age, or sorted where they are renamed."""
    key, own = (now_us, *renaming.items()), tuple(reservations.values())
    known = _KNOWN_RIGHTS.get(key)
    if known is not None and known[0] == own:
        return known[1]
    rename = renaming.get
    found = [
        (
            name_of(it.reservation, rename),
            rename(it.org, it.org),
            it.state,
            it.shape,
            None if it.lending is None else (it.lending.floor_micros, it.lending.keep),
            max(0, it.window.start_us - now_us),
            span_left_us(it.window.end_us, now_us),
            span_left_us(it.paid_until_us, now_us),
        )
        for it in own
        if not it.state.is_over
    ]
    if renaming:
        found.sort()
    if len(_KNOWN_RIGHTS) >= _MOST_KNOWN:
        _KNOWN_RIGHTS.clear()
    _KNOWN_RIGHTS[key] = (own, found)
    return found


def name_of(reservation: str, rename: Any) -> Any:
    """A reservation by its order where that is its name, else as its owner is called."""
    return rename(f"/{reservation}") or rename(reservation, reservation)


def look_at_divided(world: World, event: events.ReservationDivided) -> None:
    """Whole and part are together what the whole was, and nothing stands on the part."""
    whole, part = world.records.reservations[event.reservation], event.part
    name = f"{part.reservation} of {whole.reservation}"
    left, given = dict(event.shape), dict(part.shape)
    for fabric in {*dict(whole.shape), *left, *given}:
        was, now = dict(whole.shape).get(fabric, 0), left.get(fabric, 0) + given.get(fabric, 0)
        require(was == now, 9, f"{name}: {fabric} had {was} nodes of it, and has {now}")
    is_same = (part.window, part.rate_micros, part.created_us, part.state) == (
        whole.window,
        whole.rate_micros,
        whole.created_us,
        whole.state,
    )
    require(is_same, 9, f"{name} has another window, rate, age or state")
    claimed = sum(
        it.nodes for it in world.records.claims.values() if it.reservation == whole.reservation
    )
    says = f"{name} is taken away from what {claimed} nodes are claimed of"
    require(claimed <= sum(left.values()), 1, says)
    for fabric, used in _used_by_fabric(world, whole).items():
        says = f"{name} has nodes in {fabric} that its owner stands on"
        require(used <= left.get(fabric, 0), 1, says)
    if part.org != whole.org:
        require(part.lending is None, 9, f"{name} is another org's, and is lent before it says so")
    _look_at_money(world, whole, event)


def _used_by_fabric(world: World, right: Reservation) -> dict[str, int]:
    """Nodes of its own shape on which what is its own stands or is promised seats."""
    records, own = world.records, dict(right.shape)
    seats = [
        seat
        for claim in records.claims.values()
        if claim.reservation == right.reservation
        for seat in (*claim.held, *claim.promised)
    ]
    for name in world.live:
        workload = records.workloads[name]
        holder = workload.promise or workload.attempt
        if workload.spec.capacity.reservation == right.reservation and holder is not None:
            seats.extend(holder.seats)
    used: dict[str, int] = {}
    for node in {seat.node for seat in seats}:
        fabric = records.nodes[node].fabric
        if fabric in own:
            used[fabric] = used.get(fabric, 0) + 1
    return {fabric: min(nodes, own[fabric]) for fabric, nodes in used.items()}


def _look_at_money(world: World, whole: Reservation, event: events.ReservationDivided) -> None:
    """What was paid ahead, paid and earned is divided by nodes, but for a rest of a micro-unit."""
    part = event.part
    held = world.ledger.balance(prepaid_account(whole.reservation))
    moved = sum(it.micros for it in event.transfers)
    for what, of_all, of_part in (
        ("paid ahead", held, moved),
        ("paid", whole.paid_micros or 0, part.paid_micros or 0),
        ("earned", whole.earned_micros, part.earned_micros),
    ):
        is_share = abs(of_part * whole.nodes - of_all * part.nodes) < whole.nodes
        says = f"{part.reservation} takes {of_part} of {of_all} {what}, and {part.nodes} of the"
        require(is_share, 13, f"{says} {whole.nodes} nodes")
    for transfer in event.transfers:
        ends = (transfer.debit, transfer.credit)
        own = (prepaid_account(whole.reservation), prepaid_account(part.reservation))
        require(ends == own, 13, f"a division moves money from {ends[0]} to {ends[1]}")


def look_at_paid(world: World, event: events.ReservationPaid) -> None:
    """A period is charged once, for the nodes that the right has."""
    right = world.records.reservations[event.reservation]
    is_later = event.paid_until_us > right.paid_until_us
    require(is_later, 13, f"{right.reservation} is charged for a period that is paid")
    rate = right.rate_micros * right.nodes * right.gpus_per_node
    span_us = event.paid_until_us - right.paid_until_us
    paid = sum(it.micros for it in event.transfers)
    says = f"{right.reservation} is charged {paid} for {span_us / 1e6:g} s of {right.nodes} nodes"
    require(abs(paid - amount_of(rate, span_us)) <= 1, 13, says)


def look_at_changed(world: World, event: events.ReservationChanged) -> None:
    """An end that was agreed moves later only, and a right ends no sooner than it was paid for."""
    right, name = world.records.reservations[event.reservation], event.reservation
    before_us, after_us = right.window.end_us, event.end_us
    if event.state is ReservationState.ENDED:
        handed = right.nodes == 0
        is_over = handed or (before_us is not None and event.at_us >= before_us)
        require(is_over, 9, f"{name} ends before its window")
        return
    if event.state.is_over or before_us is None or after_us is None:
        return
    require(after_us >= before_us, 9, f"{name} ends sooner than was agreed")
