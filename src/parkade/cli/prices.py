"""Prices: the present cost of capacity, and the operator's price sheet."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling
from parkade.cli.confirming import Yes, agree
from parkade.cli.names import MarketName

if TYPE_CHECKING:
    from parkade.wire import pools as wire

price = typer.Typer(help="The price sheet.", no_args_is_help=True)
sheet = typer.Typer(help="Posted prices of a market.", no_args_is_help=True)
price.add_typer(sheet, name="sheet")
Amount = Annotated[str | None, typer.Option(help="Per GPU-hour.")]


def prices(as_json: AsJson = False) -> None:
    """Show what capacity costs, and which limit would win nodes now."""
    call(lambda client: client.list_prices(), _ladders, as_json=as_json)


@sheet.command("show")
def show_sheet(as_json: AsJson = False) -> None:
    """Show the posted prices."""
    call(lambda client: client.list_prices(), _sheets, as_json=as_json)


@sheet.command("set")
def set_sheet(
    market: MarketName,
    pay_as_you_go: Amount = None,
    reservation_rate: Amount = None,
    public_floor: Amount = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also where on-demand is below the floor.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Post new prices; what is left out stays, and sold reservations keep their rate.

    Where work would have to leave by it, who and when is said before, and asked."""
    from parkade.cli.screen import show
    from parkade.wire.pools import Prices

    with calling(as_json=as_json) as client:
        before = client.get_prices(market)
        effect = client.plan_prices(
            market,
            pay_as_you_go=pay_as_you_go,
            reservation_rate=reservation_rate,
            public_floor=public_floor,
            is_meant=anyway,
        )
        is_asked = agree(effect, yes=yes)
        show(
            client.set_prices(
                market,
                pay_as_you_go=pay_as_you_go,
                reservation_rate=reservation_rate,
                public_floor=public_floor,
                is_meant=anyway,
                if_match=before.etag if is_asked else None,
            ),
            lambda answer: _sheets(Prices(prices=(answer,))),
            as_json=as_json,
        )


def _sheets(answer: "wire.Prices") -> None:
    from parkade.cli.screen import table

    table(
        ("MARKET", "INSTANCE TYPE", "ON-DEMAND", "RESERVED", "FLOOR", "NOTICE"),
        [
            (
                each.market,
                each.instance_type,
                each.pay_as_you_go,
                each.reservation_rate,
                each.public_floor,
                each.notice,
            )
            for each in answer.prices
        ],
        empty="No markets yet.",
        right="ON-DEMAND RESERVED FLOOR NOTICE",
    )


def _ladders(answer: "wire.Prices") -> None:
    from parkade.cli.screen import console, say, table

    _sheets(answer)
    for each in answer.prices:
        if not each.ladder:
            continue
        console.print()
        say(f"{each.market}: a limit that would win n whole nodes now, per GPU-hour")
        table(
            tuple(f"{step.nodes}" for step in each.ladder),
            [tuple(step.price for step in each.ladder)],
            empty="",
            right=" ".join(f"{step.nodes}" for step in each.ladder),
        )
