"""The lot on the wire: every node with who sits there, and the sums that follow.

An operator sees all of it. Others see the nodes, which are public, and of what sits there their own
org's alone: what is null or empty is not theirs to see.
"""

from typing import Literal

from parkade.wire.model import Answer
from parkade.wire.scalars import Amount, Instant, Span


class LotSeat(Answer):
    """GPUs of a node that a workload or claim holds, or is promised."""

    holder: str
    gpus: int


class LotCordon(Answer):
    """A cordon of a node. `is_of_others`: jobs that Parkade did not start are its cause, or the
    engine's own word about the node; `reason` says which."""

    holder: str
    reason: str
    is_of_others: bool


class LotNode(Answer):
    """A node. `state`: open nodes take newcomers, closed ones keep who sits there, out is out of
    play; `says` is why it is not open. `health` and `cordons` are the facts of it. All of these are
    for operators."""

    node: str
    pool: str
    market: str
    fabric: str
    gpus: int
    state: Literal["open", "closed", "out"] | None
    says: str
    seats: tuple[LotSeat, ...]
    promised: tuple[LotSeat, ...]
    health: str | None = None
    cordons: tuple[LotCordon, ...] = ()


class LotNotice(Answer):
    """A notice: told at `noticed`, it leaves by `deadline` and is killed at `kill`."""

    noticed: Instant
    deadline: Instant
    kill: Instant
    cause: str


class LotHolder(Answer):
    """What sits somewhere or waits: a workload, or an owner's claim.

    `price`: per GPU-hour, null while it holds nothing or a reservation pays. `lent`: how many of
    its GPUs owners lend it, by what they earn of its price; for operators. `says`: why it is where
    it is. `reservation`: by whose right it sits or waits; null without one. `member_of`: the array
    of which it is a member.
    """

    holder: str
    kind: Literal["workload", "claim"]
    name: str
    org: str
    user: str | None
    use: Literal["owner", "on-demand", "spot"]
    capacity: str
    phase: str
    gpus: int
    price: Amount | None
    limit_price: Amount | None
    price_to_win: Amount | None
    lent: int | None
    notice: LotNotice | None
    since: Instant | None
    says: str
    reservation: str | None = None
    member_of: str | None = None


class LotFabric(Answer):
    """Nodes of a market with full interconnect between them. `buffer`: so many of them are kept
    out of sales for healing; which ones is decided when they are needed. `lent`: so many of them
    owners lend and do not use themselves, with guests there or without. `kept`: so many of them
    owners have reserved, do not use and do not lend; which ones is not decided either. All three
    are for operators."""

    market: str
    fabric: str
    nodes: int
    buffer: int | None
    lent: int | None = None
    kept: int | None = None


class LotSums(Answer):
    """GPUs by what they do now; `out` are out of play. `gpus` = `out` + all the others."""

    gpus: int
    owner: int
    lent: int
    spot: int
    on_demand: int
    idle: int
    out: int


class LotPromises(Answer):
    """What was promised and how it was kept: the longest that an owner ever waited for its seats,
    the longest that terms allow now, and whether all accounts add up to zero."""

    longest_wait: Span
    waits: int
    longest_allowed: Span
    books_are_balanced: bool


class Lot(Answer):
    """All nodes, and what sits or waits there, as of journal position `sequence`.

    `sums` and `promises` are for operators.
    """

    sequence: int
    at: Instant
    nodes: tuple[LotNode, ...]
    holders: tuple[LotHolder, ...]
    fabrics: tuple[LotFabric, ...]
    sums: LotSums | None
    promises: LotPromises | None
