"""Reservations, lending and claims."""

from fastapi import APIRouter

from parkade.api import door as doors
from parkade.api.door import Asking, Door
from parkade.api.problems import said
from parkade.api.translate import instant, micros_or_none, microseconds
from parkade.api.views import reservations as views
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.wire import reservations as wire
from parkade.wire.scalars import parse_when

router = APIRouter(tags=["reservations"])


@router.post("/reservations", status_code=201)
async def reserve(body: wire.Reserve, door: Asking) -> wire.Reservation:
    """Nodes for a window, or open-ended, at the price sheet's rate."""
    now_us = await door.read(lambda _, now_us: now_us)
    start_us = None if body.start == "now" else _when(body.start, now_us)
    end_us = None if body.end is None else _when(body.end, now_us)
    decided = await door.execute(
        commands.Reserve(
            by=door.viewer.user,
            org=door.own_org(body.org),
            market=body.market,
            name=body.name,
            nodes=body.nodes,
            start_us=start_us,
            end_us=end_us,
        )
    )
    reserved = doors.find(decided, events.Reserved)
    assert reserved is not None
    return await _reservation(door, reserved.reservation.reservation)


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
    return await _reservation(door, reservation)


@router.post("/reservations/{reservation}/end")
async def end(reservation: str, door: Asking) -> wire.Reservation:
    """An open-ended reservation ends with the period that is paid."""
    await _reservation(door, reservation)
    await door.execute(commands.EndReservation(by=door.viewer.user, reservation=reservation))
    return await _reservation(door, reservation)


@router.post("/reservations/{reservation}/lend")
async def lend(reservation: str, body: wire.Lend, door: Asking) -> wire.Reservation:
    """The standing offer: lend what is idle, at least at this floor, all but `keep` nodes."""
    await _reservation(door, reservation)
    await door.execute(
        commands.Lend(
            by=door.viewer.user,
            reservation=reservation,
            floor_micros=micros_or_none(body.floor),
            keep=body.keep,
        )
    )
    return await _reservation(door, reservation)


@router.post("/reservations/{reservation}/claims", status_code=201)
async def claim(reservation: str, body: wire.MakeClaim, door: Asking) -> wire.Claim:
    """The owner wants nodes for itself; guests get the market's notice."""
    await _reservation(door, reservation)
    decided = await door.execute(
        commands.MakeClaim(by=door.viewer.user, reservation=reservation, nodes=body.nodes)
    )
    claimed = doors.find(decided, events.Claimed)
    assert claimed is not None
    return views.claim(claimed.claim)


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

    def view(world: World, _: int) -> wire.Claim | None:
        found = world.records.claims.get(claim)
        return views.claim(found) if found and door.viewer.may_see(found.org) else None

    before = await door.read(view, f"claim {claim}")
    await door.execute(commands.Unclaim(by=door.viewer.user, claim=claim))
    return before


async def _reservation(door: Door, name: str) -> wire.Reservation:
    def view(world: World, _: int) -> wire.Reservation | None:
        found = world.records.reservations.get(name)
        if found is None or not door.viewer.may_see(found.org):
            return None
        return views.reservation(found, nodes_used=_used(door, world).get(name, 0))

    return await door.read(view, f"reservation {name}")


def _used(door: Door, world: World) -> dict[str, int]:
    orgs = None if door.viewer.is_operator else frozenset({door.viewer.org})
    return views.nodes_used(world, orgs)
