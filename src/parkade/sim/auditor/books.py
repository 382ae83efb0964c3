"""The auditor's books: what it knows of each run, promise and account."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
BLAMELESS = {"below_floor", "reclaimed", "moved", "resized", "healed", "operator", "lapsed"}

Record = dict[str, Any]


class Discrepancy(AssertionError):
    """The books do not agree with the events."""


@dataclass
class Run:
    """One attempt as the events tell it."""

    market: str
    workload: str
    gpus: int
    org: str
    ordered_us: int
    displaced: bool
    rates: list[Record]
    notice_ends_us: int = 0
    silent_us: int = 0
    pool: str = ""
    is_due: bool = False
    is_minimum_paid: bool = False
    has_failed: bool = False
    was_at_an_end: bool = False
    started_us: int | None = None
    kill_us: int | None = None
    broken_us: int | None = None
    checkpoint_us: int | None = None
    unseen_us: int | None = None
    """Since when its pool was silent, where it was concluded without being seen."""

    end: Record | None = None
    charged: int = 0
    charged_until_us: int = 0
    """Up to when its use was posted."""

    debt: Record | None = None
    node_gpus: dict[str, int] = field(default_factory=dict)
    """Its GPUs on each node."""

    leaves_by_own: bool = False
    """Whether its org's own doing, or its own choice, made it leave."""

    waited_us: int = 0
    """For how long its promise held its seats idle for its own org, counted on all its GPUs."""

    ranks: dict[tuple[int, int], Record] = field(default_factory=dict)
    """Of a live one, its ranks by number and since when (`live`)."""

    full: Record | None = None
    """Of a live one, what all ranks that stay cost together, once each of them has begun."""

    leaves: dict[tuple[int, int], Record] = field(default_factory=dict)
    """Of a live one, what ranks cost that were told to leave, from when to when."""

    owing: dict[tuple[int, int], int] = field(default_factory=dict)
    """Of a live one, ranks for which others had to leave, and since when they owe for that."""

    unpaid: list[tuple[int, int]] = field(default_factory=list)
    """Of a live one, the numbers of ranks that are gone and did not pay what they owed, with it."""

    cause: str | None = None
    """Of its notice; None: it has none."""

    is_held_again: bool = False
    held_us: int = 0
    """How much of the time before its first process is billed."""


Capped = tuple[str, str]
"""What may have a cap: (user, its name) or (org, its name)."""


@dataclass
class CapBooks:
    """Caps, what was spent, and what they held before the clearing that is read."""

    caps: dict[Capped, Record] = field(default_factory=dict)
    spent: dict[Capped, int] = field(default_factory=lambda: defaultdict(int))
    in_month: dict[Capped, tuple[str, int]] = field(default_factory=dict)
    noted: dict[Capped, str] = field(default_factory=dict)
    last_us: dict[Capped, int] = field(default_factory=dict)
    before: dict[Capped, tuple[int, int]] = field(default_factory=dict)
    seated: frozenset[str] = frozenset()
    promised: frozenset[str] = frozenset()
    bounds: dict[str, Record] = field(default_factory=dict)
    """By org, how much it may begin in a minute."""

    begun: dict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(int))
    """By org, what (`submits`, `starts`) and minute."""


@dataclass
class Books:
    """Everything the auditor found."""

    balances: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    runs: dict[str, Run] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)
    workloads: dict[str, Record] = field(default_factory=dict)
    terms: dict[str, Record] = field(default_factory=dict)
    earned: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    paid: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    promises: dict[str, Record] = field(default_factory=dict)
    paid_promises: set[str] = field(default_factory=set)
    silent_since: dict[str, int] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """By node, its market."""

    node_gpus: dict[str, int] = field(default_factory=dict)
    """By market, the GPUs of one of its nodes."""

    taken: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    given_up: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    spent: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    uncollected: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By market, what ended attempts owed beyond what could be taken."""

    failures: dict[str, int] = field(default_factory=dict)
    first_started: dict[str, int] = field(default_factory=dict)
    """By workload, when a process of it was first seen."""

    credited: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    earned_by: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    short: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    reservations: dict[str, Record] = field(default_factory=dict)
    unstarted: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By org, the first workload of a day that held seats for nothing, and when it ended."""
    claims: dict[str, str] = field(default_factory=dict)
    """The org of each claim."""
    reservation_paid: dict[str, tuple[int, int]] = field(default_factory=dict)
    caps: CapBooks = field(default_factory=CapBooks)
    deleted: set[Capped] = field(default_factory=set)
    own_waits: dict[str, Any] = field(default_factory=dict)
    """By workload, what its promise waits for (`own_waits.Wait`)."""


def has_no_more(books: Books, name: str) -> bool:
    """Whether its org, or its `max_spend`, has nothing left."""
    workload = books.workloads[name]
    budget = workload.get("member_of") or name
    most = books.workloads[budget].get("spec", {}).get("max_spend_micros")
    has_none = books.balances[f"org/{workload['org']}"] == 0
    return has_none or (most is not None and books.spent[budget] >= most)


def require(claim: bool, text: str) -> None:
    if not claim:
        raise Discrepancy(text)


def late_from_us(run: Run, terms: Record) -> int:
    """When the start of a run that made others leave is late."""
    return begins_us(run) + int(terms["start_grace_us"])


def begins_us(run: Run) -> int:
    """From when the time before its first process counts; silence of its agent does not."""
    return max(run.ordered_us, run.notice_ends_us) + run.silent_us


def outbid_per_hour(
    node_gpus: dict[str, int], debt: Record | None, limit_micros: int | None
) -> int:
    """What those that it outbid had bid an hour for their GPUs on its nodes, each node at most at
    its own bid; in whole prices for a GPU."""
    bids = (debt or {}).get("outbid_micros") or ()
    if not bids or limit_micros is None:
        return 0
    assert debt is not None
    outbid = {
        node: min(micros, limit_micros * node_gpus[node])
        for node, micros in zip(debt["nodes"], bids, strict=True)
        if micros and node in node_gpus
    }
    gpus = sum(node_gpus[node] for node in outbid)
    return sum(outbid.values()) // gpus * gpus if gpus else 0


def minimum_of(
    least_us: int, used_us: int, used_micros: int, *, priced: int, outbid: int
) -> tuple[int, int]:
    """(what is missing to the minimum after so much use, as time; what that costs an hour)."""
    rate = max(priced, outbid)
    missing_us = least_us - used_us
    in_all = outbid * least_us // HOUR_US
    if in_all > used_micros:
        missing_us = max(missing_us, -(-(in_all - used_micros) * HOUR_US // rate))
    return max(0, missing_us), rate


def gpus_by_node(seats: list[Record]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for seat in seats:
        found[seat["node"]] += seat["gpus"]
    return dict(found)


def per_hour(rate: Record, gpus: int) -> int:
    """What so many GPUs cost an hour: each node at its own price where the rate says them."""
    nodes = rate.get("node_prices") or ()
    gpus = gpus if rate.get("gpus") is None else rate["gpus"]
    if not nodes:
        price: int = rate["price_micros"]
        return price * gpus
    require(gpus % len(nodes) == 0, f"{gpus} GPUs have {len(nodes)} prices")
    require(list(nodes) == sorted(nodes), f"a further node costs less: {nodes}")
    total = sum(nodes)
    require(rate["price_micros"] == -(-total // len(nodes)), f"{rate} does not say its mean")
    return total * (gpus // len(nodes))


def overlap(rates: list[Record], place: int, from_us: int, to_us: int) -> int:
    """How long the rate at this place held in a window; the first one also before it began."""
    begins = rates[place]["from_us"] if place else from_us
    ends = rates[place + 1]["from_us"] if place + 1 < len(rates) else to_us
    return max(0, min(ends, to_us) - max(begins, from_us))
