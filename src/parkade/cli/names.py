"""Arguments that name a thing, as every command takes and explains them."""

from typing import Annotated

import typer

OrgName = Annotated[str, typer.Argument(help="Its name; see `parkade org list`.", metavar="ORG")]
UserName = Annotated[str, typer.Argument(help="Its name; see `parkade user list`.", metavar="USER")]
TokenName = Annotated[
    str, typer.Argument(help="Its public name; see `parkade token list`.", metavar="TOKEN")
]
PoolName = Annotated[str, typer.Argument(help="Its name; see `parkade pool list`.", metavar="POOL")]
NodeName = Annotated[str, typer.Argument(help="Its name; see `parkade node list`.", metavar="NODE")]
MarketName = Annotated[
    str, typer.Argument(help="Its name; see `parkade prices`.", metavar="MARKET")
]
WindowName = Annotated[
    str, typer.Argument(help="Its name; see `parkade maintenance list`.", metavar="WINDOW")
]
ReservationName = Annotated[
    str, typer.Argument(help="Its name; see `parkade reservations`.", metavar="RESERVATION")
]
ClaimName = Annotated[str, typer.Argument(help="Its name; see `parkade claims`.", metavar="CLAIM")]
NewOrg = Annotated[str, typer.Argument(help="The name of the new one.", metavar="ORG")]
NewUser = Annotated[str, typer.Argument(help="The name of the new one.", metavar="USER")]
