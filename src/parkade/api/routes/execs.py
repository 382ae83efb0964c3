"""Commands beside ranks: for the users that ask for one, and for the agent that runs it.

The server runs nothing: it lets in, by the same rule as a cancel, writes that down in the journal,
and hands bytes on. A session is the token's that asked for it.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from fastapi import Path, Query, Request
from fastapi.responses import Response

from parkade.api import context as contexts
from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext, refuse_if_it_only_looks
from parkade.api.problems import problem, refused
from parkade.api.routes.agents import Agent, Pool, Wait
from parkade.api.routes.workloads import looking_for
from parkade.control.answers import Decided
from parkade.control.execs import Exec, Lost
from parkade.core.running.execs import LONGEST_PROGRAM
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.workload import Workload
from parkade.ports import ExecOutput, ExecRequest, Window
from parkade.wire import execs as wire

router = routing.router("execs")
ROOM_S = 10.0
Session = Annotated[str, Path(pattern="^[0-9a-f]{1,64}$")]
Number = Annotated[int, Query(ge=0, le=2**62)]
ShortWait = Annotated[float, Query(ge=0, le=20, description="seconds")]
_output = msgspec.json.Decoder(ExecOutput)
_encode = msgspec.json.Encoder().encode


def program_of(words: tuple[str, ...]) -> str:
    """What is told of a command: the name of its program, without its folder, and nothing that
    stands behind a blank or an equals sign in it."""
    name = words[0].strip().rpartition("/")[2]
    bare = name.split(" ")[0].split("=")[0]
    shown = "".join(letter for letter in bare if letter.isprintable())
    return shown[:LONGEST_PROGRAM] or "…"


@router.post("/workloads/{workload}/exec", status_code=201)
async def open_exec(workload: str, body: wire.Exec, context: Authenticated) -> wire.ExecSession:
    """Runs a command beside a rank of the present attempt: in its place, as its user. Who asked
    for which program is told to its org by an event; the command's other words are not."""
    plane, viewer = context.plane, context.viewer
    if (refusal := plane.execs.refuse_more(viewer.user, viewer.org)) is not None:
        raise refused(refusal)
    command = commands.OpenExec(
        by=viewer.user,
        workload=workload,
        session=secrets.token_hex(16),
        rank=body.rank,
        program=program_of(body.command),
        has_terminal=body.terminal is not None,
    )

    def able(world: World, now_us: int) -> Workload | Refusal:
        found = looking_for(context, workload)(world, now_us)
        if isinstance(found, Refusal) or found.pool is None or plane.opens_execs(found.pool):
            return found
        says = f"the engine of pool {found.pool} runs no commands beside a workload: docs/exec.md"
        return Refusal(reason=Reason.UNSUPPORTED, detail=says)

    def show(_: World, __: int, decided: Decided, before: Workload) -> tuple[ExecRequest, str]:
        opened = contexts.find(decided, events.ExecOpened)
        assert opened is not None and before.pool is not None
        return _request(opened, body, before), before.pool

    with plane.execs.asking(viewer.user, viewer.org):
        request, pool = await context.change(command, show, look=able)
    if plane.execs.of_token(request.session, viewer.token) is None:
        made = Exec(
            request,
            pool=pool,
            token=viewer.token,
            user=viewer.user,
            org=viewer.org,
            is_good=context.is_current,
            most_held=plane.execs.most_held,
        )
        plane.execs.open(made)
    return wire.ExecSession(
        session=request.session, workload=workload, attempt=request.attempt, rank=request.rank
    )


def _request(opened: events.ExecOpened, body: wire.Exec, workload: Workload) -> ExecRequest:
    size = body.terminal
    return ExecRequest(
        session=opened.session,
        attempt=opened.attempt,
        rank=opened.rank,
        words=body.command,
        window=None if size is None else Window(columns=size.columns, rows=size.rows),
        term="" if size is None else size.term,
        org=workload.org,
        since_us=workload.submitted_us,
    )


def _of_caller(session: str, context: RequestContext) -> Exec:
    refuse_if_it_only_looks(context.viewer)
    found = context.plane.execs.of_token(session, context.viewer.token)
    if found is None:
        context.not_found(f"session {session}")
    return found


@contextmanager
def _heard(found: Exec, context: RequestContext) -> Iterator[None]:
    """Around a question of its user, which may wait."""
    found.user_asks(1)
    try:
        yield
    except Lost as error:
        found.finish(str(error))
        raise problem("conflict", str(error)) from None
    finally:
        found.user_asks(-1)
    context.refuse_if_it_was_revoked()


@router.get("/execs/{session}/output")
async def exec_output(
    session: Session, context: Authenticated, after: Number = 0, wait: ShortWait = 0
) -> wire.ExecOutput:
    """Output from a number on, once there is any; asking for what follows says that the rest was
    heard. A session that is not asked for half a minute is ended."""
    found = _of_caller(session, context)
    with _heard(found, context):
        chunks, end = await found.take_output(after, wait_s=wait)
    shown = tuple(wire.shown_chunk(it.stream, it.content) for it in chunks)
    ended = None if end is None else wire.ExecEnd(code=end.code, signal=end.signal, why=end.why)
    return wire.ExecOutput(chunks=shown, next=after + len(shown), end=ended)


@router.post("/execs/{session}/input")
async def exec_input(
    session: Session, body: wire.ExecInput, context: Authenticated
) -> wire.ExecTaken:
    """A part of the input; waits up to ten seconds for room."""
    found = _of_caller(session, context)
    with _heard(found, context):
        following = await found.put_input(
            body.at, body.content, is_last=body.is_last, wait_s=ROOM_S
        )
    return wire.ExecTaken(next=following)


@router.post("/execs/{session}/window")
async def resize_exec(
    session: Session, body: wire.Window, context: Authenticated
) -> wire.ExecTaken:
    """The terminal has another size from now on."""
    found = _of_caller(session, context)
    found.resize(Window(columns=body.columns, rows=body.rows))
    return wire.ExecTaken(next=found.next_input)


@router.post("/execs/{session}/close")
async def close_exec(session: Session, context: Authenticated) -> wire.ExecTaken:
    """Ends it, and what still runs of it."""
    found = _of_caller(session, context)
    context.plane.execs.let_go(found)
    return wire.ExecTaken(next=found.next_input)


@router.get("/pools/{pool}/exec-requests", response_class=Response)
async def exec_requests(pool: Pool, context: Agent, wait: Wait = 0) -> Response:
    """Commands that the pool's agent shall begin."""
    async with context.place() as place:
        asked = await place.wait_for(context.plane.execs.requests(pool, wait_s=wait))
    context.refuse_if_it_was_revoked()
    return _json(asked or [])


@contextmanager
def _of_agent(pool: str, session: str, context: RequestContext) -> Iterator[Exec]:
    """A session of the pool while its agent asks; `not_found` once it is over."""
    found = context.plane.execs.of_pool(session, pool)
    if found is None:
        context.not_found(f"session {session}")
    found.agent_asks(1)
    try:
        yield found
    except Lost as error:
        found.finish(str(error))
        raise problem("conflict", str(error)) from None
    finally:
        found.agent_asks(-1)
    context.refuse_if_it_was_revoked()


@router.get("/pools/{pool}/execs/{session}/input", response_class=Response)
async def agent_exec_input(
    pool: Pool,
    session: Session,
    context: Agent,
    after: Number = 0,
    windows: Number = 0,
    wait: ShortWait = 0,
) -> Response:
    """Input from a byte on, once there is any; asking for what follows says that the rest was
    heard, and for one byte more that so was its end. `not_found` where the session is over."""
    with _of_agent(pool, session, context) as found:
        part = await found.take_input(after, windows, wait_s=wait)
    if found.end is not None:
        context.not_found(f"session {session}")
    return _json(part)


@router.post("/pools/{pool}/execs/{session}/output", response_class=Response)
async def agent_exec_output(
    pool: Pool, session: Session, request: Request, context: Agent, wait: ShortWait = 0
) -> Response:
    """A chunk of output, or the end; answers whether there was room for it."""
    try:
        output = _output.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise problem("invalid", f"not an output: {str(error)[:500]}") from None
    with _of_agent(pool, session, context) as found:
        is_taken = await found.put_output(output, wait_s=wait)
    return _json(is_taken)


def _json(value: object) -> Response:
    return Response(_encode(value), media_type="application/json")
