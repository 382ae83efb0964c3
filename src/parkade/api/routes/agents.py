"""What agents ask and report: desired states, observations, output. With a token of the pool's
agent, or an operator's.

These speak the doors' own structs as msgspec encodes them, not the models of the wire.
"""

import secrets
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from parkade.api.door import Agent, Asking, Door, digest_of, new_token
from parkade.api.problems import said
from parkade.api.routes.people import add_token
from parkade.core.world.commands import AddToken
from parkade.ports import Observation
from parkade.wire.people import NewToken

router = APIRouter(tags=["agents"])
Wait = Annotated[float, Query(ge=0, le=60, description="seconds")]
Number = Annotated[int | None, Query(ge=0, le=2**62)]
Pool = Annotated[str, Path(max_length=63)]
_encode = msgspec.json.Encoder().encode
_observation = msgspec.json.Decoder(Observation)


def _json(value: object) -> Response:
    return Response(_encode(value), media_type="application/json")


def _agent_of(pool: str, door: Door) -> None:
    own = door.viewer.pool
    if own is None:
        door.require_operator()
    elif own != pool:
        raise said("denied", f"this token is for the agent of pool {own}, not of {pool}")
    if not door.plane.has_pool(pool):
        door.not_found(f"pool {pool}")


@router.post("/pools/{pool}/agent-tokens", status_code=201)
async def create_agent_token(pool: Pool, door: Asking) -> NewToken:
    """A token with which an agent may run this pool and do nothing else; operators only. Its
    secret is in this answer only, so a repeated request is refused with `conflict`."""
    door.require_operator()
    secret = new_token()
    user = door.viewer.user
    command = AddToken(
        by=user,
        token=f"agent-{pool}-{secrets.token_hex(4)}",
        user=user,
        digest=digest_of(secret),
        pool=pool,
    )
    return await add_token(door, command, secret)


@router.get("/pools/{pool}/desired", response_class=Response)
async def desired(
    pool: Pool,
    door: Agent,
    after_epoch: Number = None,
    after_sequence: Number = None,
    wait: Wait = 0,
) -> Response:
    """All that shall run in a pool, once it is newer than `after`; 204 if it is not in time."""
    _agent_of(pool, door)
    if (after_epoch is None) is not (after_sequence is None):
        raise said("invalid", "after_epoch and after_sequence stand together")
    after = None
    if after_epoch is not None and after_sequence is not None:
        after = (after_epoch, after_sequence)
    state = await door.plane.desired(pool, after=after, wait_s=wait)
    return Response(status_code=204) if state is None else _json(state)


@router.post("/pools/{pool}/observation", status_code=204)
async def observe(pool: Pool, request: Request, door: Agent) -> None:
    """What runs in a pool, dated."""
    _agent_of(pool, door)
    try:
        observation = _observation.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise said("invalid", f"not an observation: {error}") from None
    if observation.pool != pool:
        raise said("invalid", f"pool: this is an observation of {observation.pool}")
    await door.plane.observe(pool, observation)


@router.get("/pools/{pool}/log-requests", response_class=Response)
async def log_requests(pool: Pool, door: Agent, wait: Wait = 0) -> Response:
    """Output that somebody waits for."""
    _agent_of(pool, door)
    return _json(await door.plane.log_requests(pool, wait_s=wait))


@router.post("/pools/{pool}/log-chunks/{log_request}", status_code=204)
async def log_chunk(
    pool: Pool,
    log_request: Annotated[str, Path(max_length=100)],
    request: Request,
    door: Agent,
    last: bool = False,
) -> None:
    """A part of it; `not_found` where nobody waits for more."""
    _agent_of(pool, door)
    chunk = await request.body()
    if not await door.plane.log_chunk(pool, log_request, chunk, last):
        door.not_found(f"reader of {log_request}")
