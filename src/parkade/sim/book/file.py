"""A book in a file: orders for windows, and what an operator offers. Prices are per GPU-hour."""

from typing import Literal, Self

from pydantic import Field, model_validator

from parkade.core.book.orders import MOST_ORDERS
from parkade.wire.model import Request
from parkade.wire.scalars import Gpus, Instant, LimitPrice, Name, Nodes, NodesKept, Price, Share

MOST_ROOMS = 1000


class BookOrder(Request):
    """An order for whole nodes over [start, end), whole hours.

    A buy pays at most `limit` per GPU-hour, a sell takes at least that. `whole`: a buy of all nodes
    or none. `whole_window`: a sell whose nodes go for the whole window only; else each hour may be
    sold apart.
    """

    name: Name
    org: Name
    side: Literal["buy", "sell"]
    nodes: Nodes
    start: Instant
    end: Instant
    limit: LimitPrice
    whole: bool = False
    whole_window: bool = False

    @model_validator(mode="after")
    def _has_what_its_side_has(self) -> Self:
        if self.whole and self.side == "sell":
            raise ValueError("a sell is never all or nothing; leave `whole` out")
        if self.whole_window and self.side == "buy":
            raise ValueError("a buy is always of the whole window; leave `whole_window` out")
        return self


class BookRoom(Request):
    """What the operator can sell over [start, end); `sold` nodes of it are sold already."""

    nodes: Nodes
    sold: NodesKept = 0
    start: Instant
    end: Instant

    @model_validator(mode="after")
    def _has_what_is_sold(self) -> Self:
        if self.sold > self.nodes:
            raise ValueError("`sold` counts among `nodes`, and is not more")
        return self


class BookCurveStep(Request):
    """Up to this share of what can be sold, a node costs `price` per GPU-hour."""

    up_to: Share
    price: Price


class BookOperator(Request):
    """The operator's room and its curve: the shares ascend to 1, and the prices with them.

    `room` is left out where it is taken from the calendar of a marketplace.

    `spread`: what a node that is bought back loses of the price of the step below. `bought_back`:
    the share of the room that is bought back at most.
    """

    room: tuple[BookRoom, ...] = Field((), max_length=MOST_ROOMS)
    curve: tuple[BookCurveStep, ...] = Field(max_length=32)
    spread: Share = "1/10"
    bought_back: Share = "0"


class Book(Request):
    """A book of one fabric, at one moment: its orders, oldest first, and the operator's offer."""

    gpus_per_node: Gpus
    orders: tuple[BookOrder, ...] = Field(max_length=MOST_ORDERS)
    operator: BookOperator | None = None
