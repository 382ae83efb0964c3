"""What agents ask and report: desired states, observations, output. With a token of the pool's
agent, or an operator's.

These are the structs of `ports` as msgspec encodes them, not the models of the wire.
"""

import re
import secrets
from typing import Annotated
from urllib.parse import unquote

import msgspec
from fastapi import Path, Query, Request
from fastapi.responses import Response

from parkade.api import strict
from parkade.api.context import Agent, Authenticated, RequestContext, digest_of, new_token
from parkade.api.problems import problem
from parkade.api.routes.people import add_token
from parkade.control.kept_folders import MOST_FOLDERS
from parkade.control.pool_agents import PoolAgent
from parkade.core.state.commands import AddToken
from parkade.core.steps.permissions import Read
from parkade.core.units.names import NAME
from parkade.core.units.visible import visible
from parkade.ports import FolderReport, HealthReport, Obeyed, Observation
from parkade.wire.people import NewToken

router = strict.router("agents")
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


def _refuse_a_second(pool: str, request: Request, context: RequestContext) -> None:
    """One agent runs a pool; agents that give no name are not told apart."""
    said = request.headers.get("Parkade-Agent", "")
    name, _, place = said.partition(" ")
    if not re.fullmatch("[0-9a-f]{1,64}", name):
        return
    agent = PoolAgent(agent=name, place=unquote(place)[:LONGEST_PLACE])
    present = context.plane.other_agent(pool, agent)
    if present is not None:
        raise problem(
            "conflict",
            f"another agent runs pool {pool}, at {visible(present.place)}: two would start"
            " everything twice. Stop one of them; once that one is silent, this one is answered",
        )


def _agent_of(pool: str, context: RequestContext) -> None:
    own = context.viewer.pool
    if own is None:
        context.require(Read.AGENT_PROTOCOL)
    elif own != pool:
        raise problem("denied", f"this token is for the agent of pool {own}, not of {pool}")
    if not context.plane.has_pool(pool):
        context.not_found(f"pool {pool}")


async def _refuse_other_journal(
    pool: str,
    context: RequestContext,
    epoch: int | None,
    position: int | None,
    digest: str | None,
) -> None:
    """`conflict` where the journal lacks the newest order that the agent obeyed, if it says."""
    why = None
    if epoch is not None and position is not None and digest is not None:
        obeyed = Obeyed(epoch=epoch, position=position, digest=digest)
        if not await context.plane.knows(obeyed):
            why = (
                f"this server's journal lacks entry {position} that the agent has obeyed: it"
                " was restored from an older backup, or it is a copy or another marketplace. What"
                " runs in the pool goes on, and nothing is started or stopped. On the server's"
                " machine `parkade admin restore --accept-agents` shows what runs and lets you"
                " decide"
            )
    context.plane.note_journal(pool, why)
    if why is not None:
        raise problem("conflict", why)


@router.post("/pools/{pool}/agent-tokens", status_code=201)
async def create_agent_token(pool: Pool, context: Authenticated) -> NewToken:
    """A token with which an agent may run this pool and do nothing else; operators only. Its
    secret is in this answer only, so a repeated request is refused with `conflict`."""
    secret = new_token()
    user = context.viewer.user
    command = AddToken(
        by=user,
        token=f"agent-{pool[:40]}-{secrets.token_hex(4)}",
        user=user,
        digest=digest_of(secret),
        pool=pool,
    )
    return await add_token(context, command, secret)


@router.get("/pools/{pool}/desired", response_class=Response)
async def desired(
    pool: Pool,
    request: Request,
    context: Agent,
    after_epoch: Number = None,
    after_sequence: Number = None,
    wait: Wait = 0,
    obeyed_epoch: Number = None,
    obeyed_position: Number = None,
    obeyed_digest: Digest = None,
) -> Response:
    """All that shall run in a pool, once it is newer than `after`; 204 if it is not in time.

    `obeyed_*` is the newest entry of a journal that the agent obeyed: `conflict` where this journal
    lacks it."""
    _agent_of(pool, context)
    _refuse_a_second(pool, request, context)
    await _refuse_other_journal(pool, context, obeyed_epoch, obeyed_position, obeyed_digest)
    if (after_epoch is None) is not (after_sequence is None):
        raise problem("invalid", "after_epoch and after_sequence stand together")
    after = None
    if after_epoch is not None and after_sequence is not None:
        after = (after_epoch, after_sequence)
    async with context.place():
        state = await context.plane.desired(pool, after=after, wait_s=wait)
    return Response(status_code=204) if state is None else _json(state)


@router.post("/pools/{pool}/observation", status_code=204)
async def observe(pool: Pool, request: Request, context: Agent) -> None:
    """What runs in a pool, dated."""
    _agent_of(pool, context)
    _refuse_a_second(pool, request, context)
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
    _agent_of(pool, context)
    try:
        report = _health.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise problem("invalid", f"not a report of health: {str(error)[:500]}") from None
    if report.pool != pool:
        raise problem("invalid", f"pool: this is a report of {report.pool}")
    await context.plane.take_health(report)


@router.post("/pools/{pool}/folders", response_class=Response)
async def folders(
    pool: Pool,
    request: Request,
    context: Agent,
    obeyed_epoch: Number = None,
    obeyed_position: Number = None,
    obeyed_digest: Digest = None,
) -> Response:
    """Until when the agent keeps folders of workloads. `obeyed_*` as in `desired`."""
    _agent_of(pool, context)
    await _refuse_other_journal(pool, context, obeyed_epoch, obeyed_position, obeyed_digest)
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
    _agent_of(pool, context)
    async with context.place():
        return _json(await context.plane.log_requests(pool, wait_s=wait))


@router.post("/pools/{pool}/log-chunks/{log_request}", status_code=204)
async def log_chunk(
    pool: Pool,
    log_request: Annotated[str, Path(max_length=100)],
    request: Request,
    context: Agent,
    last: bool = False,
) -> None:
    """A part of it; `not_found` where no reader waits for more."""
    _agent_of(pool, context)
    chunk = await request.body()
    if not await context.plane.log_chunk(pool, log_request, chunk, last):
        context.not_found(f"reader of {log_request}")
