"""The operator's page: pools and nodes, the price sheet, orgs and users."""

from decimal import Decimal

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import ProblemError, problem
from parkade.api.routes import effects, people, pools, statements
from parkade.console import needs
from parkade.console.context import Page, router
from parkade.console.routes.reservations import checked, faults_in_a_line
from parkade.console.routes.supply import is_usual
from parkade.core.steps.permissions import Read
from parkade.wire import pools as wire
from parkade.wire.scalars import format_amount

routes = router()
MOST_NODES = 300
NODE_ACTIONS = ("cordon", "uncordon", "drain", "undrain", "fail", "restore")
PRICES = ("pay_as_you_go", "reservation_rate", "public_floor")
SAYS = {
    "cordon": "No newcomer is seated there; who sits there stays.",
    "uncordon": "Your cordon is lifted; newcomers may come, unless another holds one.",
    "drain": "Its workloads get the market's notice and are moved. It is drained once it is empty.",
    "undrain": "It takes work again.",
    "fail": "It is out of play at once: its workloads are healed elsewhere, and charged to their"
    " last checkpoint.",
    "restore": "You say that it is well: it takes work again.",
}


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
        orgs=(await people.list_orgs(context.api)).orgs,
        users=(await people.list_users(context.api)).users,
        troubles=needs.troubles(await statements.server(context.api)),
    )


@routes.get("/nodes/{node}/{action}")
async def ask(node: str, action: str, context: Page) -> Response:
    """What it does to those who sit there."""
    context.api.require(Read.NODES)
    nodes = (await pools.list_nodes(context.api)).nodes
    found = next((each for each in nodes if each.node == node), None)
    if found is None or action not in NODE_ACTIONS:
        raise problem("not_found", f"there is no node {node[:80]}, or no such action")
    return context.page("node_action.html", it=found, action=action, says=SAYS[action])


@routes.post("/nodes/{node}/{action}")
async def act(node: str, action: str, context: Page) -> Response:
    """Does it."""
    fields = await context.form()
    match action:
        case "cordon" | "drain" | "fail":
            body = checked(wire.NodeReason, {"reason": fields.get("reason", "")})
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
    prices = (await pools.list_prices(context.api)).prices
    sheet = next((each for each in prices if each.market == market), None)
    if sheet is None:
        raise problem("not_found", f"there is no market {market[:80]}")
    given = dict(zip(PRICES, (pay_as_you_go, reservation_rate, public_floor), strict=True))
    wanted = {name: value.strip() for name, value in given.items() if value.strip()}
    is_asked = bool(context.request.query_params)
    echo, refused = await _asked(context, sheet, wanted) if is_asked else ([], "")
    return context.page("prices.html", sheet=sheet, given=given, echo=echo, refused=refused)


async def _asked(context: Page, sheet: wire.Sheet, wanted: dict[str, str]) -> tuple[list[str], str]:
    """(what changes by these prices, why nothing does) of a form that is filled in."""
    try:
        asked = checked(wire.SetPrices, wanted)
        says = _echo(sheet, asked)
        if not says:
            return [], "these are the present prices: nothing would change"
        outcome = await effects.plan_prices(sheet.market, asked, context.api)
    except ProblemError as error:
        return [], faults_in_a_line(error.problem)
    return [*says, outcome.says], ""


def _echo(sheet: wire.Sheet, asked: wire.SetPrices) -> list[str]:
    says = []
    then: dict[str, Decimal] = {}
    for name in PRICES:
        before: Decimal = getattr(sheet, name)
        after: Decimal | None = getattr(asked, name)
        then[name] = before if after is None else after
        if then[name] != before:
            words = name.replace("_", " ")
            says.append(f"{words}: {format_amount(before)} becomes {format_amount(then[name])}")
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
    wanted = {name: fields[name] for name in PRICES if fields.get(name)}
    await pools.set_prices(market, checked(wire.SetPrices, wanted), context.api)
    return RedirectResponse("/operate", status_code=303)
