"""Where a user, and its org, is told of work: set, confirmed, tried and removed."""

from collections.abc import Mapping
from typing import get_args

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import ProblemError, problem
from parkade.api.routes import receivers
from parkade.api.translate.scalars import instant
from parkade.console import needs
from parkade.console.context import Page, PageContext, router
from parkade.console.planning import Faults, faults_of, request_of
from parkade.core.steps.permissions import Read
from parkade.wire import people as wire

routes = router()
KINDS: Mapping[str, str] = {
    "started": "work starts",
    "ended": "work ends",
    "notice": "work is told to leave",
    "at_risk": "a deadline is at risk",
    "budget": "a budget or a cap is nearly spent",
    "incident": "a node is sick",
}
"""What a receiver may hear of, in words; of sick nodes operators alone."""
assert set(KINDS) == set(get_args(wire.About))


@routes.get("/receivers")
async def index(context: Page) -> Response:
    """All that are the user's to see, and the form of a new one."""
    return await _page(context)


@routes.post("/receivers")
async def add(context: Page) -> Response:
    """A new one. The secret of a webhook stands on the page that answers, and nowhere later."""
    fields = await context.form()
    address = fields.get("address", "")
    chosen = [kind for kind in _kinds(context) if fields.get(f"about_{kind}")]
    is_of_org = fields.get("of") == "org"
    asked, faults = request_of(wire.AddReceiver, {"address": address}, ("address",))
    if not chosen:
        faults["about"] = ["choose of what"]
    for each in await _all(context):
        if each.address == address and (each.user is None) == is_of_org:
            faults["address"] = ["it is one already: remove it first, to change of what"]
    if asked is None or faults:
        return await _page(context, fields, faults)
    asked = asked.model_copy(update={"about": tuple(chosen), "for_org": is_of_org})
    try:
        made = await receivers.add_receiver(asked, context.request, context.api)
    except ProblemError as error:
        return await _refused(context, error, fields)
    return await _page(context, made=made)


@routes.post("/receivers/{receiver}/{action}")
async def act(receiver: str, action: str, context: Page) -> Response:
    """Tries it, confirms it, or removes it."""
    fields = await context.form()
    request, api = context.request, context.api
    try:
        match action:
            case "test":
                found = await receivers.test_receiver(receiver, request, api)
                sent = "A message" if found.is_confirmed else "Another code"
                return await _page(context, done=f"{sent} is on its way to {found.address}.")
            case "confirm":
                code, faults = request_of(wire.ConfirmReceiver, fields, ("code",))
                if code is None:
                    return await _page(context, faults={_code_of(receiver): faults["code"]})
                await receivers.confirm_receiver(receiver, code, request, api)
            case "remove":
                await receivers.remove_receiver(receiver, request, api)
            case _:
                raise problem("not_found", "there is no such action")
    except ProblemError as error:
        place = _code_of(receiver) if action == "confirm" else ""
        return await _refused(context, error, {}, place=place)
    return RedirectResponse("/receivers", status_code=303)


def _code_of(receiver: str) -> str:
    """The field for its code."""
    return f"code-{receiver}"


async def _refused(
    context: PageContext, error: ProblemError, fields: Mapping[str, str], *, place: str = "address"
) -> Response:
    """What is wrong with an address or a code, beside its field; else a page of its own."""
    if error.problem.code not in ("unsupported", "too_many"):
        raise error
    says = faults_of(error.problem, ()).get("", [])
    return await _page(context, fields, {place: says}, status=error.problem.status)


async def _all(context: PageContext) -> tuple[wire.Receiver, ...]:
    return (await receivers.list_receivers(context.request, context.api)).receivers


def _kinds(context: PageContext) -> dict[str, str]:
    """Those that the user may be told of."""
    is_operator = context.viewer.is_operator
    return {kind: says for kind, says in KINDS.items() if is_operator or kind != "incident"}


async def _page(
    context: PageContext,
    fields: Mapping[str, str] | None = None,
    faults: Faults | None = None,
    *,
    made: wire.Receiver | None = None,
    done: str = "",
    status: int | None = None,
) -> Response:
    kinds = _kinds(context)
    given = dict(fields) if fields else {f"about_{kind}": "yes" for kind in kinds}
    return context.page(
        "receivers.html",
        status or (422 if faults else 200),
        found=await _all(context),
        kinds=kinds,
        words=KINDS,
        given={"address": "", "of": "user"} | given,
        faults=faults or {},
        made=made,
        done=done,
        is_offered=receivers.are_offered(context.request),
        may_set_of_org=context.viewer.may_read(Read.RECEIVERS, org=context.viewer.org),
        now=instant(context.api.plane.present_us()),
        time_left=needs.time_left,
    )
