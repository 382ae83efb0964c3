"""What new prices would have made of the recorded past: started by an operator, read when done."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import problem
from parkade.api.routes import pools
from parkade.api.translate.scalars import instant
from parkade.console import words
from parkade.console.context import Page, PageContext, router
from parkade.console.journal_programs import Arguments
from parkade.console.routes.operate import PRICES
from parkade.console.routes.reservations import checked
from parkade.core.steps.permissions import Read
from parkade.wire import pools as wire
from parkade.wire.scalars import format_amount

routes = router()
MOST_ORGS = 40
FIGURES = (
    ("started", "workloads started"),
    ("succeeded", "succeeded"),
    ("paid", "paid by orgs"),
    ("received", "received by orgs"),
    ("fees", "fees"),
    ("price", "mean price of a GPU-hour sold"),
    ("wait_p50_s", "median wait, s"),
    ("wait_p99_s", "99th percentile of waits, s"),
    ("moved_gpus", "GPUs moved"),
    ("owner_waits", "times that owners waited for seats"),
    ("owner_wait_max_s", "the longest of these waits, s"),
    ("owner_wait_total_s", "these waits together, s"),
)


@routes.get("/prices/{market}/what-if")
async def show(
    market: str,
    context: Page,
    pay_as_you_go: str = "",
    reservation_rate: str = "",
    public_floor: str = "",
) -> Response:
    """What was found for these prices, or how far it is."""
    context.api.require(Read.NODES)
    given = dict(zip(PRICES, (pay_as_you_go, reservation_rate, public_floor), strict=True))
    arguments = await _arguments(context, market, given)
    program = context.console.what_if
    run = program.latest(arguments)
    answer = None if run is None else run.answer
    return context.page(
        "what_if.html",
        market=market,
        markets=len((await pools.list_prices(context.api)).prices),
        given=given,
        arguments=arguments,
        run=run,
        is_available=program.is_available,
        runs=[] if answer is None else answer["runs"],
        rows=[] if answer is None else _rows(answer["runs"]),
        orgs=[] if answer is None else _orgs(answer["orgs"]),
        answer=answer,
        length="" if answer is None else words.span(timedelta(days=answer["days"])),
    )


@routes.post("/prices/{market}/what-if")
async def play(market: str, context: Page) -> Response:
    """Starts it, where none is under way."""
    fields = await context.form()
    context.api.require(Read.NODES)
    given = {name: fields.get(name, "") for name in PRICES}
    arguments = await _arguments(context, market, given)
    program = context.console.what_if
    if not program.is_available:
        raise problem("unsupported", "this server has no journal that can be played")
    if not program.start(arguments, instant(context.api.plane.present_us())):
        raise problem("busy", "another one is under way; try again in a minute")
    asked = urlencode({name: value for name, value in given.items() if value})
    return RedirectResponse(f"{context.request.url.path}?{asked}", status_code=303)


async def _arguments(context: PageContext, market: str, given: Mapping[str, str]) -> Arguments:
    """What differs from the present sheet, as the command `parkade sim what-if` has it."""
    sheet = await pools.get_prices(market, context.api)
    wanted = {name: value.strip() for name, value in given.items() if value.strip()}
    asked = checked(wire.SetPrices, wanted) if wanted else wire.SetPrices()
    found = []
    for name in PRICES:
        after: Decimal | None = getattr(asked, name)
        if after is not None and after != getattr(sheet, name):
            found.append(f"{name}={format_amount(after)}")
    if not found:
        raise problem("invalid", "these are the present prices: nothing would change")
    return tuple(found)


def _rows(runs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """A figure of each run."""
    rows = [(says, [_figure(run.get(name)) for run in runs]) for name, says in FIGURES]
    hours = [_figure(sum(run.get("gpu_hours", {}).values())) for run in runs]
    notices = [_figure(sum(run.get("notices", {}).values())) for run in runs]
    return [("GPU-hours that ran", hours), *rows[:8], ("notices", notices), *rows[8:]]


def _orgs(orgs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Those for whom most money differs, first."""
    found = sorted(orgs, key=lambda it: -abs(it["paid"][1] - it["paid"][0]))[:MOST_ORGS]
    columns = ("paid", "received", "gpu_hours", "notices")
    return [(it["org"], [_figure(value) for name in columns for value in it[name]]) for it in found]


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
