"""Receivers: where users and orgs want to hear of their work."""

import asyncio
from typing import cast

from fastapi import Request

from parkade.api import etags, routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.problems import ProblemError, problem, refused
from parkade.api.translate.scalars import instant, instant_or_none
from parkade.control.viewers import Viewer
from parkade.core.steps.permissions import Read
from parkade.messages import receivers as messages
from parkade.messages.queue import Waiting
from parkade.messages.receivers import Directory
from parkade.wire import people as wire

router = routing.router("receivers")


@router.get("/receivers")
async def list_receivers(request: Request, context: Authenticated) -> wire.Receivers:
    """The caller's own, and for an owner its org's."""
    directory, viewer = _directory(request), _person(context)
    found = list(directory.of(viewer.org, viewer.user))
    if context.viewer.may_read(Read.RECEIVERS, org=viewer.org):
        found += directory.of(viewer.org, None)
    return wire.Receivers(receivers=tuple(_shown(each, directory) for each in found))


@router.get("/receivers/{receiver}")
async def get_receiver(receiver: str, request: Request, context: Authenticated) -> wire.Receiver:
    """One receiver, for those who may list it."""
    found = _own(request, context, receiver)
    context.tag(_tag(found))
    return _shown(found, _directory(request))


@router.post("/receivers", status_code=201)
async def add_receiver(
    body: wire.AddReceiver, request: Request, context: Authenticated
) -> wire.Receiver:
    """A new one; its secret is in this answer only. An address of mail is sent a code, and nothing
    else until that is confirmed. Sent again it makes a second one, for no
    answer is kept under an idempotency key."""
    viewer = _person(context)
    if body.for_org:
        context.require(Read.RECEIVERS, org=viewer.org)
    try:
        made = await asyncio.to_thread(
            _directory(request).add,
            org=viewer.org,
            user=None if body.for_org else viewer.user,
            address=body.address,
            about=body.about or messages.KINDS,
            now_us=context.plane.present_us(),
        )
    except messages.Refused as refusal:
        raise _problem(refusal) from None
    context.tag(_tag(made))
    return _shown(made, _directory(request), secret=made.secret or None)


@router.post("/receivers/{receiver}/remove")
async def remove_receiver(
    receiver: str, request: Request, context: Authenticated
) -> wire.Receivers:
    """It hears nothing more; what waits for it is given up."""
    found = _unchanged(request, context, receiver)
    await asyncio.to_thread(_directory(request).remove, found.receiver)
    return await list_receivers(request, context)


@router.post("/receivers/{receiver}/test")
async def test_receiver(receiver: str, request: Request, context: Authenticated) -> wire.Receiver:
    """It is sent a message, to see whether it comes; where it is not confirmed, another code."""
    found = _unchanged(request, context, receiver)
    now_us = context.plane.present_us()
    try:
        await asyncio.to_thread(_directory(request).ask_test, found, now_us)
    except messages.Refused as refusal:
        raise _problem(refusal) from None
    context.tag(_tag(found))
    return _shown(found, _directory(request))


@router.post("/receivers/{receiver}/confirm")
async def confirm_receiver(
    receiver: str, body: wire.ConfirmReceiver, request: Request, context: Authenticated
) -> wire.Receiver:
    """It hears what it asked for from now on, by the code that was sent to its address."""
    found, directory = _unchanged(request, context, receiver), _directory(request)
    now_us = context.plane.present_us()
    try:
        made = await asyncio.to_thread(directory.confirm, found.receiver, body.code, now_us)
    except messages.Refused as refusal:
        raise _problem(refusal) from None
    context.tag(_tag(made))
    return _shown(made, directory)


def are_offered(request: Request) -> bool:
    """Whether people may set any, for the console."""
    return _directory(request).is_offered


def failing(request: Request, context: RequestContext) -> list[tuple[str, str, Waiting]]:
    """The receivers of a page's user whose last message failed: its own, for an owner its org's,
    for an operator also those of messages.yaml; each with its name, and its address where a person
    set it."""
    directory, viewer = _directory(request), context.viewer
    found = [*directory.of(viewer.org, viewer.user)]
    if viewer.may_read(Read.RECEIVERS, org=viewer.org):
        found += directory.of(viewer.org, None)
    several = [(it.receiver, it.address, directory.waiting(it.receiver)) for it in found]
    if viewer.is_operator:
        several += [(name, name, it) for name, it in directory.waiting_beside().items()]
    return [each for each in several if each[2].says is not None]


def _problem(refusal: messages.Refused) -> ProblemError:
    code = "too_many" if isinstance(refusal, messages.TooOften) else "unsupported"
    return problem(code, str(refusal))


def _person(context: RequestContext) -> Viewer:
    """The person that asks; refused to partners and agents, who have no work to hear of."""
    context.require(Read.ORG, org=context.viewer.org)
    return context.viewer


def _directory(request: Request) -> Directory:
    return cast(Directory, request.app.state.receivers)


def _own(request: Request, context: RequestContext, name: str) -> messages.Receiver:
    """A receiver of the caller, or of its org where it may; else it is not there."""
    found, viewer = _directory(request).find(name), _person(context)
    if found is None or found.org != viewer.org:
        context.not_found(f"receiver {name}")
    is_own = found.user == viewer.user
    if not is_own and not (found.user is None and viewer.may_read(Read.RECEIVERS, org=found.org)):
        context.not_found(f"receiver {name}")
    return found


def _unchanged(request: Request, context: RequestContext, name: str) -> messages.Receiver:
    """The same, where it is as the caller saw it."""
    found = _own(request, context, name)
    if context.if_match is not None:
        refusal = etags.unmatched(_tag(found), context.if_match)
        if refusal is not None:
            raise refused(refusal)
    return found


def _tag(receiver: messages.Receiver) -> str:
    is_confirmed = receiver.unconfirmed is None
    return etags.digest((receiver.receiver, receiver.address, receiver.about, is_confirmed))


def _shown(
    receiver: messages.Receiver, directory: Directory, *, secret: str | None = None
) -> wire.Receiver:
    waiting = directory.waiting(receiver.receiver)
    return wire.Receiver(
        receiver=receiver.receiver,
        org=receiver.org,
        user=receiver.user,
        address=receiver.address,
        about=receiver.about,
        created=instant(receiver.made_us),
        secret=secret,
        is_confirmed=receiver.unconfirmed is None,
        waiting=waiting.messages,
        says=waiting.says,
        failed=instant_or_none(waiting.failed_us),
        again=instant_or_none(waiting.again_us),
    )
