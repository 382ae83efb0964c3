"""Reservations, lending and claims on the wire."""

from pydantic import Field

from parkade.wire.model import Answer, Paged, Request
from parkade.wire.money import Cost
from parkade.wire.scalars import Amount, Instant, Name, Nodes, NodesKept, Price, Span, When


class Reserve(Request):
    """`nodes` of a market for a window, at the price sheet's rate; `org` is the caller's own."""

    nodes: Nodes
    market: Name | None = None
    name: Name | None = None
    org: Name | None = None
    start: When = "now"
    end: When | None = Field(None, description="left out: open-ended")


class Extend(Request):
    """A later end of a reservation, at its rate; `+2h` is so much later than it ends now."""

    end: When


class Split(Request):
    """Nodes of a reservation that become one of their own, `name` (null: the server chooses);
    `org`: of another org, by an operator."""

    nodes: Nodes
    name: Name | None = None
    org: Name | None = None


class Shrink(Request):
    """Nodes of a reservation that are given up."""

    nodes: Nodes


class ReservationPlan(Answer):
    """What a reservation would be: `now` is charged at the sale, for its time until `paid_until`;
    `in_all` is the whole window's price, null where its end is open."""

    org: str
    market: str
    nodes: int
    gpus_per_node: int
    shape: dict[str, int]
    start: Instant
    end: Instant | None
    rate: Amount
    now: Amount
    paid_until: Instant
    in_all: Amount | None
    cost: Cost

    says: tuple[str, ...] = ()
    """What is owed, and what is kept if it is given up; older servers say nothing of it."""


class Lend(Request):
    """The standing offer of a reservation: at least `floor` per GPU-hour for its owner, all but
    `keep` of its idle nodes (null: as many as before); `floor` null stops lending."""

    floor: Price | None
    keep: NodesKept | None = None


class MakeClaim(Request):
    """The owner wants nodes of its reservation for itself."""

    nodes: Nodes


class Lending(Answer):
    """What an owner lends."""

    floor: Amount
    keep: int


class Waits(Answer):
    """How often the owner waited for seats that others still held, or had left less than
    `turnaround` ago; `times_one_more_kept`: waits that one more kept node would have spared."""

    times: int
    total: Span
    longest: Span
    times_one_more_kept: int


class Reservation(Answer):
    """A right to nodes for a window; `shape` is the number of nodes in each fabric.

    `paid`: what it was charged, less what was credited; `earned`: what it was paid for lending, at
    most `earns_at_most` for what it paid so far. `accrued`: what guests owe it beyond that, which
    is posted up to an hour later. Null: not counted, or no cap, because it was sold before there
    were such terms. `lent_gpus`: on how many of its GPUs guests sit now, by its part of what they
    pay, which is `earns_per_hour`; null where it lends nothing. `is_given_up`: it ended before its
    window began.
    """

    reservation: str
    org: str
    market: str
    state: str
    nodes: int
    gpus_per_node: int
    shape: dict[str, int]
    start: Instant
    end: Instant | None
    rate: Amount
    paid_until: Instant | None
    paid: Amount | None = None
    earned: Amount | None = None
    accrued: Amount | None = None
    earns_at_most: Amount | None = None
    lending: Lending | None
    is_given_up: bool = False
    lent_gpus: int | None = None
    earns_per_hour: Amount | None = None
    nodes_used: int
    waits: Waits
    cost: Cost


class ReservationChange(Answer):
    """What a change of a reservation would make of it, and of the `part` that leaves it; nothing is
    changed. `now` is charged at once; `kept` was paid for what is given up and is not given back
    (null: nothing is given up at once). `in_all_before` and `in_all` are the whole price before and
    after, of both where there is a part; null where an end is open. `says`: the same in words."""

    reservation: Reservation
    part: Reservation | None
    now: Amount
    kept: Amount | None
    in_all_before: Amount | None
    in_all: Amount | None
    says: tuple[str, ...]


class Reservations(Paged):
    """Those the caller may see."""

    reservations: tuple[Reservation, ...]


class Claim(Answer):
    """Nodes an owner keeps; `seats` are its own from `seated` on, promised before.

    `missing`: how many of them it lost since, and has no others for. `promised`: what it is to get
    and has not yet."""

    claim: str
    reservation: str
    org: str
    nodes: int
    claimed: Instant
    seated: Instant | None
    seats: tuple[str, ...]
    why: str
    missing: int = 0
    promised: tuple[str, ...] = ()


class Claims(Paged):
    """Those the caller may see."""

    claims: tuple[Claim, ...]
