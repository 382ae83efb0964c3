"""The lot now: one sentence, the map, the last 24 hours, what needs a person, the price ladder."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from starlette.responses import RedirectResponse, Response

from parkade.api.routes import (
    mars,
    orgs,
    pools,
    receivers,
    reservations,
    server,
    users,
    workloads,
)
from parkade.api.translate.scalars import amount
from parkade.console import needs, words
from parkade.console.context import Page, PageContext, router
from parkade.console.history import ALL_LAYERS, ORG_LAYERS, points
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.wire.mars import Incident
from parkade.wire.people import Org
from parkade.wire.pools import Sheet
from parkade.wire.reservations import Reservation
from parkade.wire.workloads import Workload

routes = router()
MOST_WORKLOADS = 500
COLOURS = 8


@routes.get("/")
async def front(context: Page, market: str = "") -> Response:
    """The page; its parts marked live are asked for again by the page's script. A partner's first
    page is another."""
    if context.is_partner:
        return RedirectResponse("/supply", status_code=303)
    lot = await context.console.lots.look(context.viewer)
    prices = (await pools.list_prices(context.api)).prices
    names = [each.market for each in prices]
    chosen = market if market in names else next(iter(names), "")
    own = await workloads.list_workloads(context.api, limit=MOST_WORKLOADS)
    standing = await server.server(context.api)
    troubles = needs.troubles(standing) if context.viewer.is_operator else []
    is_operator = context.viewer.is_operator
    seen = (await orgs.list_orgs(context.api)).orgs
    reserved = () if is_operator else await _reserved(context)
    return context.page(
        "front.html",
        headline=words.headline(
            lot,
            org=context.viewer.org,
            troubles=troubles,
            reserved=reserved,
            today=await _earned_today(context, lot.at) if reserved else None,
        ),
        reserved=reserved,
        lot=lot,
        orgs=await colours(context, seen),
        parked={each.org for each in lot.holders},
        sheet=next((each for each in prices if each.market == chosen), None),
        markets=names,
        needs=[
            *needs.needs(
                lot,
                own.workloads,
                await _incidents(context),
                user=_changes_only(context),
                capped=[*seen, *(await users.list_users(context.api)).users],
                on_demand=_on_demand(own.workloads, prices),
            ),
            *needs.failing_receivers(receivers.failing(context.request, context.api)),
        ],
        now=lot.at,
        time_left=needs.time_left,
        points=points(
            context.console.history.samples(int(lot.at.timestamp())),
            org=None if is_operator else context.viewer.org,
            market=chosen or None,
        ),
        layers=ALL_LAYERS if is_operator else ORG_LAYERS,
    )


def _on_demand(own: Sequence[Workload], prices: Sequence[Sheet]) -> dict[str, Decimal]:
    """By workload, what on-demand costs in its market."""
    posted = {each.market: each.pay_as_you_go for each in prices}
    return {each.workload: posted[each.market] for each in own if each.market in posted}


async def _reserved(context: PageContext) -> list[Reservation]:
    """What the org has in force."""
    found = (await reservations.list_reservations(context.api)).reservations
    return [it for it in found if it.state in ("in_force", "closing")]


async def _earned_today(context: PageContext, now: datetime) -> Decimal | None:
    """What was posted to the org for lending since midnight in UTC, where the user may know it."""
    if not context.viewer.may_read(Read.STATEMENT, org=context.viewer.org):
        return None
    by_day = await context.console.earnings.by_day(context.viewer.org, now)
    return amount(by_day.get(now.date(), 0))


async def colours(
    context: PageContext, known: Sequence[Org] | None = None
) -> list[dict[str, object]]:
    """Each org's colour and letters, of those that the user may see; `known`: those orgs.

    A colour follows from the order in which all orgs were made, so that it is the same for each
    viewer. Letters differ among those that are seen, so that nothing is told by colour alone."""
    seen = (await orgs.list_orgs(context.api)).orgs if known is None else known
    names = {each.org for each in seen}

    def places(world: World, _now_us: int) -> dict[str, int]:
        return {it: index for index, it in enumerate(world.records.orgs) if it in names}

    found: list[dict[str, object]] = []
    taken: set[str] = set()
    for org, place in (await context.api.plane.read(places, org=context.viewer.org)).items():
        letters = next((it for it in _letters(org) if it not in taken), str(place))
        taken.add(letters)
        found.append({"org": org, "colour": place % COLOURS, "letters": letters})
    return found


def _letters(name: str) -> list[str]:
    plain = [it for it in name if it.isalnum()] or ["?"]
    return [plain[0].upper(), *(f"{plain[0].upper()}{it}" for it in plain[1:])]


def _changes_only(context: PageContext) -> str | None:
    """The user whose own workloads alone this user may change; None: it may change all it sees."""
    return context.viewer.user if context.viewer.role.value == "member" else None


async def _incidents(context: PageContext) -> tuple[Incident, ...]:
    if not context.viewer.may_read(Read.MARS):
        return ()
    return (await mars.list_incidents(context.api, is_open=True)).incidents
