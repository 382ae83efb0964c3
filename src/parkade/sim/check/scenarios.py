"""What a small world is made of: a fleet, its orgs, and what may be asked there.

All spans are whole *ticks*, so that the instants of a world fall on a grid and states meet again.
Money is ample: no decision of a search depends on a balance (a bound, see `canonical`).
"""

import enum

import msgspec

from parkade.core.fleet.market import InstanceType, MarketTerms
from parkade.core.state import commands
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.choice import Choice
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Spec

TICK_US = 10 * SECOND_US
START_US = 472_222 * HOUR_US
"""When every world begins: a full hour, so that no use is posted before an end within an hour."""

PERIOD_US = 6 * TICK_US
"""The billing period where reservations change."""

SHORT_TERMS = {
    "notice_us": TICK_US,
    "turnaround_us": 0,
    "start_grace_us": TICK_US,
    "minimum_charge_us": TICK_US,
    "clearing_pause_us": TICK_US,
}
"""Where spans are long: four ticks pass until what falls back runs."""

MARKET = "market"
OTHER = "other"
POOL = "pool"
GUEST = "cedar"
_NEVER_US = 800_000 * HOUR_US
_DEPOSIT_MICROS = 10**17


class Asks(enum.Flag):
    """Kinds of command that a world's people, machines and clock make, beside submissions."""

    CANCELS = enum.auto()
    BIDS = enum.auto()
    HOLDS = enum.auto()
    CLAIMS = enum.auto()
    LENDS = enum.auto()
    RESERVES = enum.auto()
    FAILS = enum.auto()
    CORDONS = enum.auto()
    DRAINS = enum.auto()
    RETRIES = enum.auto()
    RIGHTS = enum.auto()
    """Reservations are split, handed over, shrunk, ended and extended."""
    BOUNDS = enum.auto()
    RESUBMITS = enum.auto()
    CAPS = enum.auto()
    AFTERWARDS = enum.auto()
    """A reservation that begins when something else ends."""
    TERMS = enum.auto()
    """The notice of the market is made longer, and shorter again."""
    MAINTENANCE = enum.auto()
    JOBS = enum.auto()
    """The engine has jobs of owners, which it also starts by itself, and of others."""
    ADMISSION = enum.auto()
    """The engine may take no job of a user."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A world to search."""

    name: str
    says: str

    setup: tuple[commands.AnyCommand, ...]
    """What happens before the search begins, a clearing included where one is named."""

    submissions: tuple[commands.Submit, ...]
    """What may be submitted; of each at most one is alive at a time. A deadline is a span from the
    submission on."""

    most_live: int
    """Submissions that are alive at a time, at most; members of an array are none."""

    bids: tuple[tuple[int, int], ...]
    """(limit, the limit that it may be changed to), micro-units per GPU-hour."""

    asks: Asks

    twins: tuple[tuple[tuple[str, str], ...], ...] = ()
    """At most one renaming under which the world is the same: of two orgs in equal roles, whose
    reservations have their names."""

    has_agent: bool = False
    """Whether the agent's protocol is part of the state; else what is seen is reported at once."""


def terms(**changes: object) -> MarketTerms:
    """Terms whose spans are whole ticks. No period of a reservation ends within a search, and no
    record of what has ended is forgotten."""
    made = MarketTerms(
        pay_as_you_go_micros=12 * MICROS,
        reservation_rate_micros=4 * MICROS,
        public_floor_micros=1 * MICROS,
        fee=Fraction(numerator=2, denominator=7),
        switching_credit=Fraction(numerator=1, denominator=20),
        notice_us=2 * TICK_US,
        heal_notice_us=TICK_US,
        kill_us=TICK_US,
        turnaround_us=TICK_US,
        start_grace_us=2 * TICK_US,
        minimum_charge_us=2 * TICK_US,
        release_grace_us=TICK_US,
        clearing_interval_us=TICK_US,
        clearing_pause_us=SECOND_US,
        billing_period_us=_NEVER_US,
        backoff_us=2 * TICK_US,
        retention_us=_NEVER_US,
        buffer_nodes=0,
    )
    return msgspec.structs.replace(made, **changes)


def fleet(
    fabrics: dict[str, int], *, gpus: int, orgs: tuple[str, ...], **changed: object
) -> tuple[commands.AnyCommand, ...]:
    kind = InstanceType(name="kind", gpu_model="H100", gpus_per_node=gpus, memory_gib=8, cpus=8)
    named = tuple(
        (fabric, tuple(f"{fabric}{number}" for number in range(1, count + 1)))
        for fabric, count in fabrics.items()
    )
    opens = commands.NewMarket(instance_type=kind, terms=terms(**changed))
    pool = commands.OpenPool(
        by=None,
        pool=POOL,
        site="site",
        supplier=None,
        engine="local",
        supply=commands.Supply(market=MARKET, opens=opens, fabrics=named),
    )
    funded: list[commands.AnyCommand] = []
    for org in orgs:
        funded.append(commands.CreateOrg(by=None, org=org))
        funded.append(commands.Deposit(by=None, org=org, micros=_DEPOSIT_MICROS))
    epoch = commands.OpenEpoch(by=None, installation="i" * 32, lineage="l" * 32)
    return (epoch, pool, *funded)


RESIZES_LIVE = commands.ReportReachability(by=None, pool=POOL, is_reachable=True, resizes_live=True)
"""The agent is heard, and its engine starts and ends single ranks."""


def another_market(fabrics: dict[str, int], *, gpus: int) -> commands.AddNodes:
    """A second market of the same pool."""
    kind = InstanceType(name="small", gpu_model="A100", gpus_per_node=gpus, memory_gib=8, cpus=8)
    named = tuple(
        (fabric, tuple(f"{fabric}{number}" for number in range(1, count + 1)))
        for fabric, count in fabrics.items()
    )
    cheaper = terms(public_floor_micros=MICROS // 2)
    opens = commands.NewMarket(instance_type=kind, terms=cheaper)
    supply = commands.Supply(market=OTHER, opens=opens, fabrics=named)
    return commands.AddNodes(by=None, pool=POOL, supply=supply)


def in_markets(org: str, limits: dict[str, int]) -> commands.Submit:
    """A bid for one node with a limit (whole units) in each of these markets."""
    choices = tuple(
        Choice(instance_type=market, limit_price_micros=limit * MICROS)
        for market, limit in limits.items()
    )
    return submission(org, limit=next(iter(limits.values())), choices=choices)


def reserved(
    org: str, nodes: int, *, name: str | None = None, market: str | None = None
) -> commands.Reserve:
    """An open-ended reservation from now on."""
    return commands.Reserve(
        by=None, org=org, market=market, name=name, nodes=nodes, start_us=None, end_us=None
    )


def lent(reservation: str, floor: int | None, keep: int = 0) -> commands.Lend:
    """The standing offer of a reservation, in whole units; None: it lends nothing."""
    floor_micros = None if floor is None else floor * MICROS
    return commands.Lend(by=None, reservation=reservation, floor_micros=floor_micros, keep=keep)


def submission(
    org: str,
    *,
    nodes: int = 1,
    gpus: int = 1,
    limit: int | None = None,
    reservation: str | None = None,
    lasts_ticks: int | None = None,
    **changed: object,
) -> commands.Submit:
    """A submission: a bid with a limit (whole units), on a reservation, or on demand for a span;
    the rest are fields of its spec."""
    capacity = Capacity(kind=CapacityKind.SPOT)
    if reservation is not None:
        capacity = Capacity(kind=CapacityKind.RESERVATION, reservation=reservation)
    elif limit is None:
        capacity = Capacity(kind=CapacityKind.ON_DEMAND)
    spec = Spec(
        name="job",
        command="true",
        workdir="/",
        env=(),
        env_file=None,
        storage=(),
        nodes=nodes,
        gpus=gpus,
        instance_type=None,
        interconnect=Interconnect.FABRIC,
        capacity=capacity,
        limit_price_micros=None if limit is None else limit * MICROS,
        max_spend_micros=None,
        checkpoint=None,
        priority=0,
        retry_failures=1,
        max_duration_us=None if lasts_ticks is None else lasts_ticks * TICK_US,
    )
    spec = msgspec.structs.replace(spec, **changed)
    return commands.Submit(by=None, org=org, market=None, spec=spec, is_held=False)


def listed(org: str, *, limit: int) -> commands.Submit:
    """A list: the reservation of the org's name first, then a bid with a limit."""
    asked = submission(org, reservation=org)
    entries = (asked.spec.capacity, Capacity(kind=CapacityKind.SPOT))
    spec = msgspec.structs.replace(asked.spec, entries=entries, spot_limit_micros=limit * MICROS)
    return msgspec.structs.replace(asked, spec=spec)


def buys(
    org: str, *, limit: int | None = None, lasts_ticks: int = 8, nodes: int = 1
) -> commands.Submit:
    """A list that ends with on-demand: first the reservation of the org's name, or, with a limit,
    a bid."""
    reservation = org if limit is None else None
    asked = submission(
        org, reservation=reservation, limit=limit, lasts_ticks=lasts_ticks, nodes=nodes
    )
    entries = (asked.spec.capacity, Capacity(kind=CapacityKind.ON_DEMAND))
    spot = None if limit is None else limit * MICROS
    spec = msgspec.structs.replace(
        asked.spec, entries=entries, limit_price_micros=None, spot_limit_micros=spot
    )
    return msgspec.structs.replace(asked, spec=spec)


def due(*, limit: int, by_ticks: int = 10, runs_ticks: int = 3) -> commands.Submit:
    """The guest's bid for a node, for work that is due so long after its submission."""
    terms = DeadlineTerms(by_us=by_ticks * TICK_US, duration_us=runs_ticks * TICK_US)
    return submission(GUEST, limit=limit, deadline=terms)
