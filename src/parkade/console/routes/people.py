"""Orgs and users: disabled and enabled again, deleted, and roles, with what that does said first.
Operators only."""

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import problem
from parkade.api.routes import orgs, reservations, users, workloads
from parkade.console.context import Page, PageContext, router
from parkade.console.pages import money
from parkade.core.state.people import Role
from parkade.core.steps.permissions import Read
from parkade.core.units.phrases import counted
from parkade.wire import people as wire

routes = router()
ACTIONS = ("disable", "enable", "delete")
MOST_COUNTED = 1000


@routes.get("/orgs/{org}/{action}")
async def ask_org(org: str, action: str, context: Page) -> Response:
    """What an org loses, and what it keeps."""
    context.api.require(Read.NODES)
    found, tag = await context.tagged(orgs.get_org(org, context.api))
    if found.deleted is not None or action not in ACTIONS:
        raise problem("not_found", f"there is no org {org}, or no such action")
    says = await _of_org(context, found) if action == "disable" else _SAYS[action, "org"]
    return _account_page(context, "orgs", org, action, says, tag)


def _account_page(
    context: PageContext, kind: str, name: str, action: str, says: Sequence[str], tag: str
) -> Response:
    return context.page(
        "account_action.html", kind=kind, name=name, action=action, echo=says, tag=tag
    )


_SAYS = {
    ("enable", "org"): ["its tokens are taken again; what has ended stays so"],
    ("delete", "org"): [
        "it goes for good, once it holds nothing: no users, work, reservations or money",
        "its statements and its history stay under its name, which is given to no other",
    ],
    ("disable", "user"): [
        "all its tokens are refused from now on",
        "its work goes on, and is paid as before",
    ],
    ("enable", "user"): [
        "its tokens are taken again, those that are not revoked and have not expired"
    ],
    ("delete", "user"): [
        "it goes for good, with its tokens, once it runs nothing",
        "its history stays under its name, which is given to no other",
    ],
}


async def _of_org(context: PageContext, org: wire.Org) -> list[str]:
    listed = await workloads.list_workloads(context.api, org=org.org, limit=MOST_COUNTED)
    count = len(listed.workloads)
    works = counted(count, "workload") + (" or more" if listed.next else "")
    claims = (await reservations.list_claims(context.api)).claims
    held = sum(each.org == org.org for each in claims)
    rights = (await reservations.list_reservations(context.api)).reservations
    says = ["the tokens of its users are refused from now on"]
    if count == 1:
        says.append(f"{works} gets the notice of its market, and ends; its checkpoint is kept")
    elif count:
        says.append(f"{works} get the notice of their market, and end; checkpoints are kept")
    if held:
        says.append(
            f"{counted(held, 'claim')} of its own {'is' if held == 1 else 'are'} given back"
        )
    if not count and not held:
        says.append("it runs nothing and claims nothing")
    if any(each.org == org.org for each in rights):
        says.append("what it reserved stays its own and is lent as before")
    return [*says, f"its account keeps {money(org.balance)}"]


@routes.post("/orgs/{org}/{action}")
async def act_on_org(org: str, action: str, context: Page) -> Response:
    """Does it."""
    await context.form()
    if action == "delete":
        await orgs.delete_org(org, context.api)
        return RedirectResponse("/operate", status_code=303)
    body = wire.SetOrgDisabled(is_disabled=_is_disabled(action))
    await orgs.set_org_disabled(org, body, context.api)
    return RedirectResponse("/operate", status_code=303)


@routes.get("/users/{user}/role")
async def ask_role(user: str, context: Page, role: str = "") -> Response:
    """Which role a user is to have; `role`: what was typed before."""
    context.api.require(Read.NODES)
    found, tag = await _user(context, user)
    roles = [each.value for each in Role]
    chosen = role if role in roles else found.role
    return context.page("user_role.html", it=found, roles=roles, chosen=chosen, tag=tag)


async def _user(context: PageContext, name: str) -> tuple[wire.User, str]:
    """(one that is not deleted, its tag)."""
    found, tag = await context.tagged(users.get_user(name, context.api))
    if found.deleted is not None:
        raise problem("not_found", f"there is no user {name}")
    return found, tag


@routes.post("/users/{user}/role")
async def set_role(user: str, context: Page) -> Response:
    """Does it."""
    fields = await context.form()
    role = fields.get("role", "")
    if role not in {each.value for each in Role}:
        raise problem("invalid", "choose a role")
    await users.set_user_role(user, wire.SetUserRole(role=role), context.api)
    return RedirectResponse("/operate", status_code=303)


@routes.get("/users/{user}/{action}")
async def ask_user(user: str, action: str, context: Page) -> Response:
    """What a user loses, or gets back."""
    context.api.require(Read.NODES)
    if action not in ACTIONS:
        raise problem("not_found", "there is no such action")
    _, tag = await _user(context, user)
    return _account_page(context, "users", user, action, _SAYS[action, "user"], tag)


@routes.post("/users/{user}/{action}")
async def act_on_user(user: str, action: str, context: Page) -> Response:
    """Does it."""
    await context.form()
    if action == "delete":
        await users.delete_user(user, context.api)
        return RedirectResponse("/operate", status_code=303)
    body = wire.SetUserDisabled(is_disabled=_is_disabled(action))
    await users.set_user_disabled(user, body, context.api)
    return RedirectResponse("/operate", status_code=303)


def _is_disabled(action: str) -> bool:
    if action not in ACTIONS:
        raise problem("not_found", "there is no such action")
    return action == "disable"
