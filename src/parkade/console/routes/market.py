"""Markets: prices as published, the ladder, a day of prices, and what the last clearings did."""

from decimal import Decimal

from starlette.responses import Response

from parkade.api.problems import problem
from parkade.api.routes import pools
from parkade.console.context import Page, router
from parkade.console.history import ALL_LAYERS, ORG_LAYERS, points
from parkade.console.journal import newest
from parkade.wire.feed import Event
from parkade.wire.pools import Step

routes = router()
MOST_CLEARINGS = 40


@routes.get("/market")
async def market(context: Page, market: str = "") -> Response:
    """One market's page; the first where none is named."""
    prices = (await pools.list_prices(context.api)).prices
    listed = await pools.list_pools(context.api)
    names = [each.market for each in prices]
    chosen = market if market in names else next(iter(names), "")
    is_operator = context.viewer.is_operator
    now_s = context.api.plane.present_us() // 1_000_000
    return context.page(
        "market.html",
        sheet=next((each for each in prices if each.market == chosen), None),
        markets=names,
        terms=next((each.terms for each in listed.markets if each.market == chosen), None),
        points=points(
            context.console.history.samples(now_s),
            org=None if is_operator else context.viewer.org,
            market=chosen or None,
            is_of_all=False,
        ),
        layers=ALL_LAYERS if is_operator else ORG_LAYERS,
        clearings=await _clearings(context, chosen),
    )


@routes.get("/market/clearings/{sequence}")
async def clearing(sequence: int, context: Page) -> Response:
    """One clearing's record: what became of each demand that the user may see, and which bid set
    its price."""
    found = next(
        (it for it in await newest(context, kinds=("Cleared",)) if it.sequence == sequence), None
    )
    if found is None:
        raise problem(
            "not_found", "it is no clearing, or older than what this page reads; see Events"
        )
    steps = tuple(
        Step(nodes=it["nodes"], price=None if it["price"] is None else Decimal(it["price"]))
        for it in found.detail["ladder"]
    )
    return context.page("clearing.html", it=found, steps=steps)


async def _clearings(context: Page, market: str) -> list[Event]:
    found = await newest(context, kinds=("Cleared",))
    return [it for it in found if it.market == market and _changed(it)][:MOST_CLEARINGS]


def _changed(event: Event) -> bool:
    """Whether more than the ladder changed."""
    return any(event.detail[each] for each in ("won", "left", "repriced", "lines"))
