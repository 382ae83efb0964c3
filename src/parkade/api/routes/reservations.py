"""Reservations, lending and claims."""

from collections.abc import Callable

from parkade.api import context as contexts
from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.pages import WHOLE, Paged, page_of
from parkade.api.translate.scalars import micros_or_none, when
from parkade.api.views import effects
from parkade.api.views import reservations as views
from parkade.api.views.reservation_changes import Change, planned
from parkade.control.answers import Decided
from parkade.core.kernel.decide import decide
from parkade.core.leasing.lent_now import accrued_now, lent_now
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.wire import reservations as wire
from parkade.wire.effects import Effect

router = routing.router("reservations")


@router.post("/reservations", status_code=201)
async def reserve(body: wire.Reserve, context: Authenticated) -> wire.Reservation:
    """Nodes for a window, or open-ended, at the price sheet's rate."""

    def show(world: World, now_us: int, decided: Decided) -> wire.Reservation:
        reserved = contexts.find(decided, events.Reserved)
        assert reserved is not None
        sold = reserved.reservation
        return _shown(
            context, world, world.records.reservations.get(sold.reservation, sold), now_us
        )

    return await context.make(_command(body, context), show)


@router.post("/reservations/plan")
async def plan(body: wire.Reserve, context: Authenticated) -> wire.ReservationPlan:
    """What a reservation would be and cost, now and in all; nothing is bought."""
    command = _command(body, context)

    def view(world: World, now_us: int) -> wire.ReservationPlan | Refusal:
        decided = decide(world, command, now_us)
        if isinstance(decided, Refusal):
            return decided
        (reserved,) = decided
        assert isinstance(reserved, events.Reserved)
        return views.plan(world, reserved.reservation)

    return await context.view(view, is_plan=True)


def _command(body: wire.Reserve, context: RequestContext) -> commands.Reserve:
    now_us = context.plane.present_us()
    return commands.Reserve(
        by=context.viewer.user,
        org=context.own_org(body.org),
        market=body.market,
        name=None if body.name is None else context.new_name(body.name),
        nodes=body.nodes,
        start_us=None if body.start == "now" else when(body.start, now_us),
        end_us=None if body.end is None else when(body.end, now_us),
    )


@router.get("/reservations")
async def list_reservations(context: Authenticated, page: Paged = WHOLE) -> wire.Reservations:
    """Those of the caller's org, or all for an operator."""

    def view(world: World, now_us: int) -> wire.Reservations:
        used = _used(context, world)
        own = (it for it in world.records.reservations.values() if context.viewer.may_see(it.org))
        seen, upcoming = page_of(page, own, lambda it: it.reservation)
        lent, accrued = lent_now(world, seen, now_us), accrued_now(world, seen, now_us)
        return wire.Reservations(
            reservations=tuple(
                views.reservation(
                    views.as_charged(world, each),
                    nodes_used=used.get(each.reservation, 0),
                    lent=lent.get(each.reservation),
                    accrued_micros=accrued.get(each.reservation, 0),
                )
                for each in seen
            ),
            next=upcoming,
        )

    return await context.view(view)


@router.get("/reservations/{reservation}")
async def get_reservation(reservation: str, context: Authenticated) -> wire.Reservation:
    """One reservation."""

    return await context.view_tagged(
        _look(context, reservation), lambda world, now_us, it: _shown(context, world, it, now_us)
    )


@router.post("/reservations/{reservation}/end")
async def end(reservation: str, context: Authenticated) -> wire.Reservation:
    """An open-ended reservation ends with the period that is paid; one that has not begun is given
    up at once, for what is paid."""
    return await _change(context, _end(reservation, context), reservation)


@router.post("/reservations/{reservation}/end/plan")
async def plan_end(reservation: str, context: Authenticated) -> wire.ReservationChange:
    """When it would end, and what is kept of what was paid; nothing is changed."""
    return await _planned(context, _end(reservation, context), reservation)


def _end(reservation: str, context: RequestContext) -> commands.EndReservation:
    return commands.EndReservation(by=context.viewer.user, reservation=reservation)


@router.post("/reservations/{reservation}/extend")
async def extend(reservation: str, body: wire.Extend, context: Authenticated) -> wire.Reservation:
    """A later end at the rate that was agreed, as far as the calendar has room."""
    return await _change(context, _extend(reservation, body, context), reservation)


@router.post("/reservations/{reservation}/extend/plan")
async def plan_extend(
    reservation: str, body: wire.Extend, context: Authenticated
) -> wire.ReservationChange:
    """What a later end would cost; nothing is changed."""
    return await _planned(context, _extend(reservation, body, context), reservation)


def _extend(
    reservation: str, body: wire.Extend, context: RequestContext
) -> commands.ExtendReservation:
    """A span like +2h counts from the end that there is."""
    is_span = body.end.startswith(("+", "-"))
    at_us = when(body.end, 0 if is_span else context.plane.present_us())
    return commands.ExtendReservation(
        by=context.viewer.user,
        reservation=reservation,
        end_us=None if is_span else at_us,
        later_us=at_us if is_span else None,
    )


@router.post("/reservations/{reservation}/split", status_code=201)
async def split(reservation: str, body: wire.Split, context: Authenticated) -> wire.Reservation:
    """Nodes of it become a reservation of their own, which is the answer; an operator hands them to
    another org."""

    def show(world: World, now_us: int, decided: Decided, _before: Reservation) -> wire.Reservation:
        divided = contexts.find(decided, events.ReservationDivided)
        assert divided is not None
        part = divided.part
        return _shown(
            context, world, world.records.reservations.get(part.reservation, part), now_us
        )

    command = _split(reservation, body, context)
    return await context.change(command, show, look=_look(context, reservation))


@router.post("/reservations/{reservation}/split/plan")
async def plan_split(
    reservation: str, body: wire.Split, context: Authenticated
) -> wire.ReservationChange:
    """What a part of its own, or handed to another org, would be and cost; nothing is changed."""
    return await _planned(context, _split(reservation, body, context), reservation)


def _split(
    reservation: str, body: wire.Split, context: RequestContext
) -> commands.SplitReservation:
    return commands.SplitReservation(
        by=context.viewer.user,
        reservation=reservation,
        nodes=body.nodes,
        name=None if body.name is None else context.new_name(body.name),
        org=body.org,
    )


@router.post("/reservations/{reservation}/shrink")
async def shrink(reservation: str, body: wire.Shrink, context: Authenticated) -> wire.Reservation:
    """Nodes of it are given up: with the period that is paid, or, before its window begins, now."""
    return await _change(context, _shrink(reservation, body, context), reservation)


@router.post("/reservations/{reservation}/shrink/plan")
async def plan_shrink(
    reservation: str, body: wire.Shrink, context: Authenticated
) -> wire.ReservationChange:
    """When nodes would be given up, and what is kept of what was paid; nothing is changed."""
    return await _planned(context, _shrink(reservation, body, context), reservation)


def _shrink(
    reservation: str, body: wire.Shrink, context: RequestContext
) -> commands.ShrinkReservation:
    return commands.ShrinkReservation(
        by=context.viewer.user, reservation=reservation, nodes=body.nodes
    )


@router.post("/reservations/{reservation}/lend")
async def lend(reservation: str, body: wire.Lend, context: Authenticated) -> wire.Reservation:
    """The standing offer: lend what is idle, at least at this floor, all but `keep` nodes."""
    return await _change(context, _lend_command(reservation, body, context), reservation)


@router.post("/reservations/{reservation}/lend/plan")
async def plan_lend(reservation: str, body: wire.Lend, context: Authenticated) -> Effect:
    """The guests that an offer would tell to leave; an owner is told what they must bid, not what
    they do."""
    command, look = _lend_command(reservation, body, context), _look(context, reservation)

    def view(world: World, now_us: int) -> Effect | Refusal:
        found = look(world, now_us)
        if isinstance(found, Refusal):
            return found
        outcome = effects.decided_effect(world, command, found.market, now_us)
        if isinstance(outcome, Refusal):
            return outcome
        ((change,), terms) = outcome[1], world.records.markets[found.market].terms
        assert isinstance(change, events.LendingSet)
        return effects.shown_lending(outcome[0], terms, found, change.lending, org=context.only_org)

    return await context.view(view, is_plan=True)


def _lend_command(reservation: str, body: wire.Lend, context: RequestContext) -> commands.Lend:
    return commands.Lend(
        by=context.viewer.user,
        reservation=reservation,
        floor_micros=micros_or_none(body.floor),
        keep=body.keep,
    )


@router.post("/reservations/{reservation}/claims", status_code=201)
async def claim(reservation: str, body: wire.MakeClaim, context: Authenticated) -> wire.Claim:
    """The owner wants nodes for itself; guests get the market's notice."""

    def show(_world: World, _now_us: int, decided: Decided, _: Reservation) -> wire.Claim:
        claimed = contexts.find(decided, events.Claimed)
        assert claimed is not None
        return views.claim(claimed.claim)

    command = commands.MakeClaim(by=context.viewer.user, reservation=reservation, nodes=body.nodes)
    return await context.change(command, show, look=_look(context, reservation))


@router.get("/claims")
async def list_claims(context: Authenticated, page: Paged = WHOLE) -> wire.Claims:
    """Those of the caller's org, or all for an operator."""

    def view(world: World, _: int) -> wire.Claims:
        own = (it for it in world.records.claims.values() if context.viewer.may_see(it.org))
        seen, upcoming = page_of(page, own, lambda it: it.claim)
        return wire.Claims(claims=tuple(map(views.claim, seen)), next=upcoming)

    return await context.view(view)


@router.get("/claims/{claim}")
async def get_claim(claim: str, context: Authenticated) -> wire.Claim:
    """One claim."""
    return await context.view_tagged(
        _claim(context, claim), lambda _, __, found: views.claim(found)
    )


@router.post("/claims/{claim}/unclaim")
async def unclaim(claim: str, context: Authenticated) -> wire.Claim:
    """The claimed nodes are idle again; the answer is the claim as it was."""

    def show(_world: World, _now_us: int, _: Decided, before: Claim) -> wire.Claim:
        return views.claim(before)

    command = commands.Unclaim(by=context.viewer.user, claim=claim)
    return await context.change(command, show, look=_claim(context, claim))


def _claim(context: RequestContext, name: str) -> Callable[[World, int], Claim | Refusal]:
    return lambda world, _: context.visible(world.records.claims.get(name), f"claim {name}")


async def _change(
    context: RequestContext, command: commands.AnyCommand, name: str
) -> wire.Reservation:
    def show(world: World, now_us: int, _decided: Decided, before: Reservation) -> wire.Reservation:
        found = world.records.reservations.get(before.reservation, before)
        return _shown(context, world, found, now_us)

    return await context.change(command, show, look=_look(context, name))


async def _planned(context: RequestContext, command: Change, name: str) -> wire.ReservationChange:
    """What a change would be; cost grows with the org's workloads."""
    look = _look(context, name)

    def view(world: World, now_us: int) -> wire.ReservationChange | Refusal:
        found = look(world, now_us)
        if isinstance(found, Refusal):
            return found
        decided = decide(world, command, now_us)
        if isinstance(decided, Refusal):
            return decided
        used = _used(context, world).get(found.reservation, 0)
        return planned(world, found, command, decided, nodes_used=used)

    return await context.view(view)


def _look(context: RequestContext, name: str) -> Callable[[World, int], Reservation | Refusal]:
    return lambda world, _: context.visible(
        context.meant(world.records.reservations, name), f"reservation {name}"
    )


def _shown(
    context: RequestContext, world: World, found: Reservation, now_us: int
) -> wire.Reservation:
    used = _used(context, world).get(found.reservation, 0)
    name = found.reservation
    return views.reservation(
        views.as_charged(world, found),
        nodes_used=used,
        lent=lent_now(world, (found,), now_us).get(name),
        accrued_micros=accrued_now(world, (found,), now_us).get(name, 0),
    )


def _used(context: RequestContext, world: World) -> dict[str, int]:
    orgs = None if context.viewer.is_operator else frozenset({context.viewer.org})
    return views.nodes_used(world, orgs)
