"""Reservations, lending and claims."""

from collections.abc import Callable

from fastapi import APIRouter

from parkade.api import door as doors
from parkade.api.door import Asking, Door
from parkade.api.problems import said
from parkade.api.translate import instant, micros_or_none, microseconds
from parkade.api.views import reservations as views
from parkade.control.answers import Decided
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.wire import reservations as wire
from parkade.wire.scalars import parse_when

router = APIRouter(tags=["reservations"])


@router.post("/reservations", status_code=201)
async def reserve(body: wire.Reserve, door: Asking) -> wire.Reservation:
    """Nodes for a window, or open-ended, at the price sheet's rate."""
    now_us = door.plane.present_us()
    start_us = None if body.start == "now" else _when(body.start, now_us)
    end_us = None if body.end is None else _when(body.end, now_us)

    def show(world: World, _: int, decided: Decided) -> wire.Reservation:
        reserved = doors.find(decided, events.Reserved)
        assert reserved is not None
        sold = reserved.reservation
        return _shown(door, world, world.records.reservations.get(sold.reservation, sold))

    command = commands.Reserve(
        by=door.viewer.user,
        org=door.own_org(body.org),
        market=body.market,
        name=body.name,
        nodes=body.nodes,
        start_us=start_us,
        end_us=end_us,
    )
    return await door.execute(command, show)


def _when(text: str, now_us: int) -> int:
    try:
        return microseconds(parse_when(text, now=instant(now_us)))
    except ValueError as error:
        raise said("invalid", str(error)) from None


@router.get("/reservations")
async def list_reservations(door: Asking) -> wire.Reservations:
    """Those of the caller's org, or all for an operator."""

    def view(world: World, _: int) -> wire.Reservations:
        used = _used(door, world)
        return wire.Reservations(
            reservations=tuple(
                views.reservation(each, nodes_used=used.get(each.reservation, 0))
                for each in world.records.reservations.values()
                if door.viewer.may_see(each.org)
            )
        )

    return await door.read(view)


@router.get("/reservations/{reservation}")
async def get_reservation(reservation: str, door: Asking) -> wire.Reservation:
    """One reservation."""

    def view(world: World, now_us: int) -> wire.Reservation | Refusal:
        found = _look(door, reservation)(world, now_us)
        return found if isinstance(found, Refusal) else _shown(door, world, found)

    return await door.see(view)


@router.post("/reservations/{reservation}/end")
async def end(reservation: str, door: Asking) -> wire.Reservation:
    """An open-ended reservation ends with the period that is paid."""
    command = commands.EndReservation(by=door.viewer.user, reservation=reservation)
    return await _change(door, command, reservation)


@router.post("/reservations/{reservation}/lend")
async def lend(reservation: str, body: wire.Lend, door: Asking) -> wire.Reservation:
    """The standing offer: lend what is idle, at least at this floor, all but `keep` nodes."""
    command = commands.Lend(
        by=door.viewer.user,
        reservation=reservation,
        floor_micros=micros_or_none(body.floor),
        keep=body.keep,
    )
    return await _change(door, command, reservation)


@router.post("/reservations/{reservation}/claims", status_code=201)
async def claim(reservation: str, body: wire.MakeClaim, door: Asking) -> wire.Claim:
    """The owner wants nodes for itself; guests get the market's notice."""

    def show(_world: World, _now_us: int, decided: Decided, _: Reservation) -> wire.Claim:
        claimed = doors.find(decided, events.Claimed)
        assert claimed is not None
        return views.claim(claimed.claim)

    command = commands.MakeClaim(by=door.viewer.user, reservation=reservation, nodes=body.nodes)
    return await door.change(command, show, look=_look(door, reservation))


@router.get("/claims")
async def list_claims(door: Asking) -> wire.Claims:
    """Those of the caller's org, or all for an operator."""
    return await door.read(
        lambda world, _: wire.Claims(
            claims=tuple(
                views.claim(each)
                for each in world.records.claims.values()
                if door.viewer.may_see(each.org)
            )
        )
    )


@router.post("/claims/{claim}/unclaim")
async def unclaim(claim: str, door: Asking) -> wire.Claim:
    """The claimed nodes are idle again; the answer is the claim as it was."""

    def look(world: World, _: int) -> Claim | Refusal:
        return door.visible(world.records.claims.get(claim), f"claim {claim}")

    def show(_world: World, _now_us: int, _: Decided, before: Claim) -> wire.Claim:
        return views.claim(before)

    command = commands.Unclaim(by=door.viewer.user, claim=claim)
    return await door.change(command, show, look=look)


async def _change(door: Door, command: commands.AnyCommand, name: str) -> wire.Reservation:
    def show(world: World, _: int, _decided: Decided, before: Reservation) -> wire.Reservation:
        return _shown(door, world, world.records.reservations.get(name, before))

    return await door.change(command, show, look=_look(door, name))


def _look(door: Door, name: str) -> Callable[[World, int], Reservation | Refusal]:
    return lambda world, _: door.visible(
        world.records.reservations.get(name), f"reservation {name}"
    )


def _shown(door: Door, world: World, found: Reservation) -> wire.Reservation:
    used = _used(door, world).get(found.reservation, 0)
    return views.reservation(found, nodes_used=used)


def _used(door: Door, world: World) -> dict[str, int]:
    orgs = None if door.viewer.is_operator else frozenset({door.viewer.org})
    return views.nodes_used(world, orgs)
