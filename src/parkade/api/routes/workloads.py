"""Workloads: submit, plan, look, change, and read what they print."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from parkade.api import door as doors
from parkade.api.door import Asking, Door
from parkade.api.problems import refused, said
from parkade.api.translate import micros, spec_of
from parkade.api.views import workloads as views
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.workload import Workload
from parkade.ports import EngineError
from parkade.wire import workloads as wire

router = APIRouter(tags=["workloads"])
PATIENCE_S = 1.0


def _command(body: wire.Submit, door: Door) -> commands.Submit:
    return commands.Submit(
        by=door.viewer.user,
        org=door.own_org(body.org),
        market=body.market,
        spec=spec_of(body.spec),
        is_held=body.hold,
    )


@router.post("/workloads", status_code=201)
async def submit(body: wire.Submit, door: Asking) -> wire.Workload:
    """A workload to be run; the answer echoes what it may cost."""
    decided = await door.execute(_command(body, door))
    submitted = doors.find(decided, events.Submitted)
    assert submitted is not None
    return await _told(door, submitted.workload)


@router.post("/workloads/plan")
async def plan_workload(body: wire.Submit, door: Asking) -> wire.Plan:
    """What the next clearing would do with it; nothing is submitted."""
    command = _command(body, door)
    plan = await door.plane.plan(command)
    if isinstance(plan, Refusal):
        raise refused(plan)
    market = plan.workload.market
    terms = await door.read(lambda world, _: world.records.markets[market].terms)
    try:
        rendered = await door.plane.rendered(plan)
    except EngineError as error:
        raise said("unsupported", str(error)) from None
    return views.plan(plan, terms, rendered=rendered)


@router.get("/workloads")
async def list_workloads(
    door: Asking,
    all: bool = False,
    org: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: str | None = None,
) -> wire.Workloads:
    """Newest first; the ended ones too with `all`. `after` is the last page's `next`."""
    if org is not None:
        door.own_org(org)
    seen = org or (None if door.viewer.is_operator else door.viewer.org)

    # Sorting is done here: a view takes the writer's time.
    names = await door.read(lambda world, _: _names(world, seen, all=all))
    names.sort(key=_number, reverse=True)
    rest = [name for name in names if after is None or _number(name) < _number(after)]
    page = rest[:limit]

    def view(world: World, now_us: int) -> list[views.Known]:
        found = (world.records.workloads.get(name) for name in page)
        return [views.known(world, each, now_us) for each in found if each is not None]

    return wire.Workloads(
        workloads=tuple(map(views.workload, await door.read(view))),
        next=page[-1] if len(rest) > limit else None,
    )


def _names(world: World, org: str | None, *, all: bool) -> list[str]:
    """Grows with the org's live workloads; with all of the world's if ended ones are asked for."""
    if not all:
        return list(world.live if org is None else world.live_of_org.get(org, ()))
    workloads = world.records.workloads
    return [name for name, each in workloads.items() if org in (None, each.org)]


def _number(name: str) -> int:
    """Its place in the order of creation."""
    return int("".join(filter(str.isdecimal, name)) or 0)


@router.get("/workloads/{workload}")
async def get_workload(workload: str, door: Asking) -> wire.Workload:
    """One workload."""
    return await _told(door, await _find(door, workload))


@router.get("/workloads/{workload}/why")
async def why(workload: str, door: Asking) -> wire.Why:
    """Why it is where it is, and the cheapest change that would win."""
    health = door.plane.health()
    found = await _find(door, workload)
    standstill = None
    if found.market in health.frozen_markets:
        standstill = "its market stands still after an internal error; its operator was told"
    elif health.is_clock_doubted:
        standstill = "the clock jumped, and no clearing runs until an operator confirms it"
    return views.why(found, standstill=standstill)


@router.post("/workloads/{workload}/hold")
async def hold(workload: str, door: Asking) -> wire.Workload:
    """Keep it from starting until it is released."""
    return await _change(door, commands.Hold(by=door.viewer.user, workload=workload), workload)


@router.post("/workloads/{workload}/release")
async def release(workload: str, door: Asking) -> wire.Workload:
    """The opposite of hold."""
    return await _change(door, commands.Release(by=door.viewer.user, workload=workload), workload)


@router.post("/workloads/{workload}/cancel")
async def cancel(workload: str, body: wire.Cancel, door: Asking) -> wire.Workload:
    """End it; one that runs gets the market's notice unless `now`."""
    command = commands.Cancel(by=door.viewer.user, workload=workload, now=body.now)
    return await _change(door, command, workload)


@router.post("/workloads/{workload}/bid")
async def bid(workload: str, body: wire.Bid, door: Asking) -> wire.Workload:
    """A new limit per GPU-hour, from the next clearing on."""
    command = commands.ChangeBid(
        by=door.viewer.user,
        workload=workload,
        limit_price_micros=micros(body.limit_price),
    )
    return await _change(door, command, workload)


async def _change(door: Door, command: commands.AnyCommand, name: str) -> wire.Workload:
    before = await _find(door, name)
    await door.execute(command)
    return await _told(door, before)


async def _find(door: Door, name: str) -> Workload:
    def view(world: World, _: int) -> Workload | None:
        found = world.records.workloads.get(name)
        return found if found and door.viewer.may_see(found.org) else None

    return await door.read(view, f"workload {name}")


async def _told(door: Door, known: Workload) -> wire.Workload:
    """As it stands now, or as it was known where the world has forgotten it."""

    def view(world: World, now_us: int) -> views.Known:
        now = world.records.workloads.get(known.workload, known)
        return views.known(world, now, now_us)

    return views.workload(await door.read(view))


@router.get("/workloads/{workload}/logs", response_class=StreamingResponse)
async def logs(
    workload: str,
    door: Asking,
    rank: Annotated[int, Query(ge=0, le=100_000)] = 0,
    offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
    follow: bool = False,
    attempt: str | None = None,
) -> StreamingResponse:
    """The output of a rank from a byte offset on, of the present or last attempt."""
    found = await _find(door, workload)
    if rank >= found.spec.nodes:
        raise said("invalid", f"rank: {workload} has ranks 0 to {found.spec.nodes - 1}")
    name = attempt or (found.attempt.attempt if found.attempt else None)
    if name is None and found.generation > 0:
        name = f"{workload}.{found.generation}"
    if name is None or not name.startswith(f"{workload}."):
        raise said("not_found", f"{workload} has no attempt yet, so nothing was printed")
    chunks = door.plane.logs(name, rank, offset=offset, follow=follow)
    # Waited for a moment, so that what cannot be had is a problem and not half an answer.
    first = asyncio.ensure_future(anext(chunks, None))
    await asyncio.wait([first], timeout=PATIENCE_S if follow else None)
    if first.done():
        first.result()
    return StreamingResponse(_chained(first, chunks), media_type="application/octet-stream")


async def _chained(
    first: asyncio.Future[bytes | None], rest: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    chunk = await first
    while chunk is not None:
        yield chunk
        chunk = await anext(rest, None)
