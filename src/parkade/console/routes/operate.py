"""The operator's page: pools and nodes, the price sheet, orgs and users."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import ProblemError, problem
from parkade.api.routes import orgs, pools, server, users
from parkade.console import needs
from parkade.console.context import Page, router
from parkade.console.planning import Faults, faults_of, request_of
from parkade.console.routes.supply import is_usual
from parkade.core.steps.permissions import Read
from parkade.wire import pools as wire
from parkade.wire.scalars import format_amount

routes = router()
MOST_NODES = 300
NODE_ACTIONS = ("cordon", "uncordon", "drain", "undrain", "fail", "restore")
LABELS = {
    "pay_as_you_go": "On demand",
    "reservation_rate": "Reservation",
    "public_floor": "Public floor",
}
"""What the prices of a sheet are called, in its form and in what it says."""

PRICES = tuple(LABELS)
SAYS = {
    "cordon": "No newcomer is seated there; who sits there stays.",
    "uncordon": "Your cordon is lifted; newcomers may come.",
    "drain": "Its workloads get the market's notice and are moved. It is drained once it is empty.",
    "undrain": "It takes work again.",
    "fail": "It is out of play at once: its workloads are healed elsewhere, and charged to their"
    " last checkpoint.",
    "restore": "You say that it is well: it takes work again.",
}


def node_actions(node: wire.Node, user: str) -> tuple[str, ...]:
    """What a user may do with a node as it is now: of cordons, only its own is lifted."""
    if node.health != "healthy":
        return ("restore",)
    is_own = any(it.holder == user for it in node.cordons)
    cordon = "uncordon" if is_own else "cordon"
    return cordon, "undrain" if node.drain else "drain", "fail"


@routes.get("/operate")
async def index(context: Page) -> Response:
    """Everything of the house."""
    context.api.require(Read.NODES)
    listed = await pools.list_pools(context.api)
    nodes = (await pools.list_nodes(context.api)).nodes
    nodes = tuple(sorted(nodes, key=is_usual))
    return context.page(
        "operate.html",
        pools=listed.pools,
        prices=(await pools.list_prices(context.api)).prices,
        nodes=nodes[:MOST_NODES],
        count=len(nodes),
        orgs=(await orgs.list_orgs(context.api)).orgs,
        users=(await users.list_users(context.api)).users,
        node_actions=partial(node_actions, user=context.viewer.user),
        troubles=needs.troubles(await server.server(context.api)),
    )


@routes.get("/nodes/{node}/{action}")
async def ask(node: str, action: str, context: Page) -> Response:
    """What it does to those who sit there."""
    context.api.require(Read.NODES)
    if action not in NODE_ACTIONS:
        raise problem("not_found", "there is no such action")
    found = await pools.get_node(node, context.api)
    others = ", ".join(_holders_beside(found, context.viewer.user))
    if action == "uncordon" and others and "uncordon" not in _actions(context, found):
        says = f"{node} is cordoned by {others}; only the holder lifts its own"
        raise problem("cordoned_by_another", says)
    return _node_page(context, found, action, {})


def _actions(context: Page, node: wire.Node) -> tuple[str, ...]:
    return node_actions(node, context.viewer.user)


def _holders_beside(node: wire.Node, user: str) -> list[str]:
    """Of the cordons that the user does not lift."""
    return [it.holder for it in node.cordons if it.holder != user]


def _node_page(context: Page, found: wire.Node, action: str, marked: Faults) -> Response:
    says, others = SAYS[action], ", ".join(_holders_beside(found, context.viewer.user))
    if action == "uncordon" and others:
        says = f"Your cordon is lifted. That of {others} stays, and only its holder lifts it."
    return context.page(
        "node_action.html",
        422 if marked else 200,
        it=found,
        action=action,
        says=says,
        faults=marked,
    )


@routes.post("/nodes/{node}/{action}")
async def act(node: str, action: str, context: Page) -> Response:
    """Does it."""
    fields = await context.form()
    match action:
        case "cordon" | "drain" | "fail":
            body, marked = request_of(wire.NodeReason, {"reason": ""} | fields, ("reason",))
            if body is None:
                found = await pools.get_node(node, context.api)
                return _node_page(context, found, action, marked)
            does = {"cordon": pools.cordon, "drain": pools.drain, "fail": pools.fail}[action]
            await does(node, body, context.api)
        case "uncordon" | "undrain" | "restore":
            undoes = {
                "uncordon": pools.uncordon,
                "undrain": pools.undrain,
                "restore": pools.restore,
            }[action]
            await undoes(node, context.api)
        case _:
            raise problem("not_found", "there is no such action")
    return RedirectResponse("/operate", status_code=303)


@routes.get("/prices/{market}")
async def ask_prices(
    market: str,
    context: Page,
    pay_as_you_go: str = "",
    reservation_rate: str = "",
    public_floor: str = "",
) -> Response:
    """A new price sheet beside the present one."""
    context.api.require(Read.NODES)
    sheet, tag = await context.tagged(pools.get_prices(market, context.api))
    given = dict(zip(PRICES, (pay_as_you_go, reservation_rate, public_floor), strict=True))
    is_asked = bool(context.request.query_params)
    echo, marked = await _asked(context, sheet, given) if is_asked else ([], {})
    return _prices_page(context, sheet, given, marked, echo, tag=tag)


def _prices_page(
    context: Page,
    sheet: wire.Sheet,
    given: Mapping[str, str],
    marked: Faults,
    echo: Sequence[str] = (),
    *,
    tag: str = "",
) -> Response:
    return context.page(
        "prices.html",
        422 if marked else 200,
        sheet=sheet,
        given=dict.fromkeys(PRICES, "") | dict(given),
        labels=LABELS,
        echo=echo,
        faults=marked,
        tag=tag,
    )


async def _asked(
    context: Page, sheet: wire.Sheet, given: Mapping[str, str]
) -> tuple[list[str], Faults]:
    """(what changes by these prices, why nothing does) of a form that is filled in."""
    wanted = {name: value.strip() for name, value in given.items()}
    asked, marked = request_of(wire.SetPrices, wanted, PRICES)
    if asked is None:
        return [], marked
    says = _echo(sheet, asked)
    if not says:
        return [], {"": ["these are the present prices: nothing would change"]}
    try:
        outcome = await pools.plan_prices(sheet.market, _meant(asked), context.api)
    except ProblemError as error:
        return [], faults_of(error.problem, PRICES)
    return [*says, outcome.says], {}


def _meant(asked: wire.SetPrices) -> wire.SetPrices:
    """Also where on-demand is below the floor, which `_echo` says before anything is set."""
    return asked.model_copy(update={"is_meant": True})


def _echo(sheet: wire.Sheet, asked: wire.SetPrices) -> list[str]:
    says = []
    then: dict[str, Decimal] = {}
    for name in PRICES:
        before: Decimal = getattr(sheet, name)
        after: Decimal | None = getattr(asked, name)
        then[name] = before if after is None else after
        if then[name] != before:
            says.append(
                f"{LABELS[name]}: {format_amount(before)} becomes {format_amount(then[name])}"
            )
    if then["reservation_rate"] != sheet.reservation_rate:
        says.append("reservations that are sold keep their rate")
    if says and then["public_floor"] > then["pay_as_you_go"]:
        says.append(
            "the floor is above on demand: spot work costs more than work that is never displaced"
        )
    return says


@routes.post("/prices/{market}")
async def set_prices(market: str, context: Page) -> Response:
    """Sets it."""
    fields = await context.form()
    asked, marked = request_of(wire.SetPrices, fields, PRICES)
    if asked is None:
        context.api.require(Read.NODES)
        sheet = await pools.get_prices(market, context.api)
        return _prices_page(context, sheet, fields, marked)
    await pools.set_prices(market, _meant(asked), context.api)
    return RedirectResponse("/operate", status_code=303)
