"""Markets: prices as published, the ladder, a day of prices, and what the last clearings did."""

from decimal import Decimal

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import problem
from parkade.api.routes import pools
from parkade.api.translate.scalars import instant
from parkade.console.context import Page, PageContext, router
from parkade.console.history import ALL_LAYERS, ORG_LAYERS, points
from parkade.console.journal import Before, entry, look
from parkade.core.steps.permissions import Read
from parkade.wire.feed import Event
from parkade.wire.pools import Step

routes = router()
MOST_CLEARINGS = 40


@routes.get("/market")
async def market(context: Page, market: str = "", before: Before = None) -> Response:
    """One market's page; the first where none is named. `before`: a position of the journal, before
    which the clearings are told."""
    prices = (await pools.list_prices(context.api)).prices
    listed = await pools.list_pools(context.api)
    names = [each.market for each in prices]
    chosen = market if market in names else next(iter(names), "")
    is_operator = context.viewer.is_operator
    now_s = context.api.plane.present_us() // 1_000_000
    clearings, older = await _clearings(context, chosen, before)
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
        clearings=clearings,
        older=older,
        before=before,
    )


@routes.get("/market/clearings/{sequence}")
async def clearing(sequence: int, context: Page) -> Response:
    """One clearing's record: what became of each demand that the user may see, and which bid set
    its price."""
    found = await _found(context, sequence)
    steps = tuple(
        Step(nodes=it["nodes"], price=None if it["price"] is None else Decimal(it["price"]))
        for it in found.detail["ladder"]
    )
    program = context.console.verify
    return context.page(
        "clearing.html",
        it=found,
        steps=steps,
        can_verify=context.viewer.is_operator and program.is_available,
        run=program.latest((str(sequence),)) if context.viewer.is_operator else None,
    )


@routes.post("/market/clearings/{sequence}/verify")
async def verify(sequence: int, context: Page) -> Response:
    """Decides it again in a process apart, where no other check is under way."""
    await context.form()
    context.api.require(Read.NODES)
    await _found(context, sequence)
    program = context.console.verify
    if not program.is_available:
        raise problem("unsupported", "this server has no journal that another process can read")
    if not program.start((str(sequence),), instant(context.api.plane.present_us())):
        raise problem("busy", "another check is under way; try again in a minute")
    return RedirectResponse(f"/market/clearings/{sequence}", status_code=303)


async def _found(context: PageContext, sequence: int) -> Event:
    found = await entry(context, sequence)
    if found is None or found.type != "Cleared":
        raise problem("not_found", f"there is no clearing at position {sequence} of the journal")
    return found


async def _clearings(
    context: PageContext, market: str, before: int | None
) -> tuple[list[Event], int | None]:
    """(those that changed something, before which position older ones may be)."""
    looked = await look(context, before=before, kinds=("Cleared",))
    found = [it for it in looked.events if _is_of(it, market) and _changed(it)]
    if len(found) > MOST_CLEARINGS:
        return found[:MOST_CLEARINGS], found[MOST_CLEARINGS - 1].sequence
    return found, looked.first if looked.first > 1 else None


def _is_of(event: Event, market: str) -> bool:
    """Whether it cleared this market, alone or with others."""
    linked = event.detail.get("linked", ())
    return event.market == market or any(it["market"] == market for it in linked)


def _changed(event: Event) -> bool:
    """Whether more than the ladder changed."""
    return any(event.detail[each] for each in ("won", "left", "repriced", "lines"))
