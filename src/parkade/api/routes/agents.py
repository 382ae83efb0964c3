"""What agents ask and report: desired states, observations, output. With a token of the pool's
agent, or an operator's.

These are the structs of `ports` as msgspec encodes them, not the models of the wire. Each route of
an agent takes its context from `admitted`, which refuses agents that are not to be heard.
"""

import re
import secrets
import time
from typing import Annotated
from urllib.parse import unquote

import msgspec
from fastapi import Depends, Path, Query, Request
from fastapi.responses import Response

from parkade.api import routing
from parkade.api.context import (
    Authenticated,
    RequestContext,
    agent_context,
    digest_of,
    new_token,
)
from parkade.api.problems import problem, refused
from parkade.api.routes.tokens import add_token
from parkade.control.admission import AskingAgent, PoolAgent
from parkade.control.kept_folders import MOST_FOLDERS
from parkade.core.state.commands import AddToken
from parkade.core.steps.permissions import Read
from parkade.core.units.names import NAME
from parkade.ports import FolderReport, HealthReport, Obeyed, Observation
from parkade.wire.people import NewToken

router = routing.router("agents")
Wait = Annotated[float, Query(ge=0, le=60, description="seconds")]
Digest = Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")]
Number = Annotated[int | None, Query(ge=0, le=2**62)]
Pool = Annotated[str, Path(max_length=NAME.longest)]
LONGEST_PLACE = 200
_encode = msgspec.json.Encoder().encode
_observation = msgspec.json.Decoder(Observation)
_folders = msgspec.json.Decoder(FolderReport)
_health = msgspec.json.Decoder(HealthReport)


def _json(value: object) -> Response:
    return Response(_encode(value), media_type="application/json")


async def admitted(
    pool: Pool,
    request: Request,
    response: Response,
    context: Annotated[RequestContext, Depends(agent_context)],
    obeyed_epoch: Number = None,
    obeyed_position: Number = None,
    obeyed_digest: Digest = None,
) -> RequestContext:
    """The context of an agent that runs the pool; `obeyed_*` is the newest entry of a journal that
    it obeyed. `conflict` where this journal lacks it, or another agent runs the pool. The answer to
    a report says the server's time, so that the agent can tell how far its own clock is off."""
    response.headers["Parkade-Time"] = str(time.time_ns() // 1_000)
    own = context.viewer.pool
    if own is None:
        context.require(Read.AGENT_PROTOCOL)
    elif own != pool:
        raise problem("denied", f"this token is for the agent of pool {own}, not of {pool}")
    if not context.plane.has_pool(pool):
        context.not_found(f"pool {pool}")
    obeyed = None
    if obeyed_epoch is not None and obeyed_position is not None and obeyed_digest is not None:
        obeyed = Obeyed(epoch=obeyed_epoch, position=obeyed_position, digest=obeyed_digest)
    elif (obeyed_epoch, obeyed_position, obeyed_digest) != (None, None, None):
        raise problem("invalid", "obeyed_epoch, obeyed_position and obeyed_digest stand together")
    asking = AskingAgent(pool=pool, agent=_named(request), obeyed=obeyed)
    refusal = await context.plane.refuse_agent(asking)
    if refusal is not None:
        raise refused(refusal)
    return context


def _named(request: Request) -> PoolAgent | None:
    """The agent by its own word; None where it gives no name."""
    said = request.headers.get("Parkade-Agent", "")
    name, _, place = said.partition(" ")
    if not re.fullmatch("[0-9a-f]{1,64}", name):
        return None
    return PoolAgent(agent=name, place=unquote(place)[:LONGEST_PLACE])


Agent = Annotated[RequestContext, Depends(admitted)]


@router.post("/pools/{pool}/agent-tokens", status_code=201)
async def create_agent_token(pool: Pool, context: Authenticated) -> NewToken:
    """A token with which an agent may run this pool and do nothing else; operators only. Its
    secret is in this answer only, so a repeated request is refused with `conflict`. It expires
    with the token of the request, if that one does."""
    secret = new_token()
    user = context.viewer.user
    command = AddToken(
        by=user,
        token=f"agent-{pool[:40]}-{secrets.token_hex(4)}",
        user=user,
        digest=digest_of(secret),
        pool=pool,
        made_with=context.viewer.token,
    )
    return await add_token(
        context, command, secret, look=lambda world, _: world.records.pools.get(pool)
    )


@router.get("/pools/{pool}/desired", response_class=Response)
async def desired(
    pool: Pool,
    context: Agent,
    after_epoch: Number = None,
    after_sequence: Number = None,
    wait: Wait = 0,
) -> Response:
    """All that shall run in a pool, once it is newer than `after`; 204 if it is not in time."""
    if (after_epoch is None) is not (after_sequence is None):
        raise problem("invalid", "after_epoch and after_sequence stand together")
    after = None
    if after_epoch is not None and after_sequence is not None:
        after = (after_epoch, after_sequence)
    async with context.place() as place:
        state = await place.wait_for(context.plane.desired(pool, after=after, wait_s=wait))
    context.refuse_if_it_was_revoked()
    return Response(status_code=204) if state is None else _json(state)


@router.post("/pools/{pool}/observation", status_code=204)
async def observe(pool: Pool, request: Request, context: Agent) -> None:
    """What runs in a pool, dated."""
    try:
        observation = _observation.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise problem("invalid", f"not an observation: {str(error)[:500]}") from None
    if observation.pool != pool:
        raise problem("invalid", f"pool: this is an observation of {observation.pool}")
    await context.plane.observe(pool, observation)


@router.post("/pools/{pool}/health", status_code=204)
async def report_health(pool: Pool, request: Request, context: Agent) -> None:
    """Verdicts on a pool's nodes, and how repairs ended."""
    try:
        report = _health.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise problem("invalid", f"not a report of health: {str(error)[:500]}") from None
    if report.pool != pool:
        raise problem("invalid", f"pool: this is a report of {report.pool}")
    await context.plane.take_health(report)


@router.post("/pools/{pool}/folders", response_class=Response)
async def folders(pool: Pool, request: Request, context: Agent) -> Response:
    """Until when the agent keeps folders of workloads."""
    try:
        report = _folders.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise problem("invalid", f"not a report of folders: {str(error)[:500]}") from None
    if report.pool != pool:
        raise problem("invalid", f"pool: this is a report of {report.pool}")
    if len(report.folders) > MOST_FOLDERS:
        raise problem("invalid", f"folders: at most {MOST_FOLDERS} in one report")
    return _json(await context.plane.folders(report))


@router.get("/pools/{pool}/log-requests", response_class=Response)
async def log_requests(pool: Pool, context: Agent, wait: Wait = 0) -> Response:
    """A request for output that a reader waits for."""
    async with context.place() as place:
        asked = await place.wait_for(context.plane.log_requests(pool, wait_s=wait))
    context.refuse_if_it_was_revoked()
    return _json(asked or [])


@router.post("/pools/{pool}/log-chunks/{log_request}", status_code=204)
async def log_chunk(
    pool: Pool,
    log_request: Annotated[str, Path(max_length=100)],
    request: Request,
    context: Agent,
    last: bool = False,
) -> None:
    """A part of it; `not_found` where no reader waits for more."""
    chunk = await request.body()
    if not await context.plane.log_chunk(pool, log_request, chunk, last):
        context.not_found(f"reader of {log_request}")
