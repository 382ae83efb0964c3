"""The small worlds that are searched: a fleet, its orgs, and what may be asked there.

All spans are whole *ticks*, so that the instants of a world fall on a grid and states meet again.
Money is ample: no decision of a search depends on a balance (a bound, see `canonical`).
"""

import enum
from collections.abc import Callable

import msgspec

from parkade.core.fleet.market import InstanceType, MarketTerms
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.array import ArrayTerms
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Spec

TICK_US = 10 * SECOND_US
START_US = 472_222 * HOUR_US
"""When every world begins: a full hour, so that no use is posted before an end within an hour."""

PERIOD_US = 6 * TICK_US
"""The billing period where reservations change."""

MARKET = "market"
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


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A world to search."""

    name: str
    says: str

    setup: tuple[commands.AnyCommand, ...]
    """What happens before the search begins, a clearing included where one is named."""

    submissions: tuple[commands.Submit, ...]
    """What may be submitted; of each at most one is alive at a time."""

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


def reserved(org: str, nodes: int, *, name: str | None = None) -> commands.Reserve:
    """An open-ended reservation from now on."""
    return commands.Reserve(
        by=None, org=org, market=None, name=name, nodes=nodes, start_us=None, end_us=None
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


def _owners() -> Scenario:
    return Scenario(
        name="owners",
        says="4 nodes in 2 fabrics; acme and birch each reserved a node of fabric a and lend it,"
        " cedar is a guest",
        setup=(
            *fleet({"a": 2, "b": 2}, gpus=1, orgs=("acme", "birch", GUEST)),
            reserved("acme", 1),
            reserved("birch", 1),
            lent("acme", 2),
            lent("birch", 2),
        ),
        submissions=(
            submission(GUEST, limit=3),
            submission(GUEST, nodes=2, limit=5),
            submission("acme", reservation="acme"),
            submission("birch", reservation="birch"),
            submission(GUEST, lasts_ticks=6),
        ),
        twins=((("acme", "birch"), ("birch", "acme")),),
        most_live=3,
        bids=((3 * MICROS, 6 * MICROS), (6 * MICROS, 3 * MICROS)),
        asks=Asks.CANCELS
        | Asks.BIDS
        | Asks.HOLDS
        | Asks.CLAIMS
        | Asks.LENDS
        | Asks.RESERVES
        | Asks.FAILS
        | Asks.CORDONS,
    )


def _claims() -> Scenario:
    return Scenario(
        name="claims",
        says="4 nodes in 2 fabrics; acme reserved the two of fabric a, birch those of fabric b, and"
        " both claim nodes and lend the others to cedar",
        setup=(
            *fleet({"a": 2, "b": 2}, gpus=1, orgs=("acme", "birch", GUEST)),
            reserved("acme", 2),
            reserved("birch", 2),
            lent("acme", 2),
            lent("birch", 2),
        ),
        submissions=(submission(GUEST, limit=3), submission(GUEST, nodes=2, limit=5)),
        most_live=2,
        bids=(),
        asks=Asks.CLAIMS | Asks.FAILS | Asks.DRAINS,
    )


def _shared() -> Scenario:
    return Scenario(
        name="shared",
        says="3 nodes of 4 GPUs in 2 fabrics; acme reserved a node of fabric a and lends it, birch"
        " and cedar are guests with work below a node",
        setup=(
            *fleet({"a": 2, "b": 1}, gpus=4, orgs=("acme", "birch", GUEST)),
            reserved("acme", 2),
            lent("acme", 2, keep=1),
        ),
        submissions=(
            submission(GUEST, gpus=1, limit=4),
            submission(GUEST, gpus=2, limit=5),
            submission("birch", gpus=3, limit=6),
            submission("birch", gpus=4, limit=4),
            submission("acme", gpus=4, reservation="acme"),
        ),
        most_live=4,
        bids=((4 * MICROS, 7 * MICROS), (7 * MICROS, 4 * MICROS)),
        asks=Asks.CANCELS | Asks.BIDS | Asks.CLAIMS | Asks.FAILS | Asks.DRAINS,
    )


def _agent() -> Scenario:
    users = {"acme": "ann", GUEST: "cid"}
    return Scenario(
        name="agent",
        says="2 nodes of a fabric, one of them reserved and lent by acme; what runs is told to an"
        " agent, and reported by it over a network that delays, repeats and loses",
        setup=(
            *fleet({"a": 2}, gpus=1, orgs=tuple(users), agent_lease_us=3 * TICK_US),
            *(
                commands.CreateUser(by=None, user=user, org=org, role=Role.OWNER, unix_name=None)
                for org, user in users.items()
            ),
            reserved("acme", 1),
            lent("acme", 2),
        ),
        submissions=(
            msgspec.structs.replace(submission(GUEST, limit=3), by="cid"),
            msgspec.structs.replace(submission("acme", reservation="acme"), by="ann"),
        ),
        most_live=2,
        bids=(),
        asks=Asks.CANCELS | Asks.CLAIMS | Asks.FAILS,
        has_agent=True,
    )


def _elastic() -> Scenario:
    return Scenario(
        name="elastic",
        says="5 nodes in 2 fabrics, one of them reserved and lent by acme; cedar asks for 2 or 3"
        " nodes and is restarted where their number changes, birch bids for one and for two",
        setup=(
            *fleet(
                {"a": 3, "b": 2},
                gpus=1,
                orgs=("acme", "birch", GUEST),
                start_grace_us=TICK_US,
                regrow_us=3 * TICK_US,
            ),
            reserved("acme", 1),
            lent("acme", 2),
        ),
        submissions=(
            submission(GUEST, nodes=2, limit=4, most_nodes=3),
            submission("birch", limit=6),
            submission("birch", nodes=2, limit=3),
        ),
        most_live=3,
        bids=((3 * MICROS, 6 * MICROS), (6 * MICROS, 3 * MICROS), (4 * MICROS, 1 * MICROS)),
        asks=Asks.CANCELS | Asks.BIDS | Asks.CLAIMS | Asks.FAILS,
    )


def _array() -> Scenario:
    return Scenario(
        name="array",
        says="2 nodes of a fabric, one of them reserved and lent by acme; cedar submits an array of"
        " 3 members of which 2 may be open, and birch bids against them",
        setup=(
            *fleet({"a": 2}, gpus=1, orgs=("acme", "birch", GUEST)),
            reserved("acme", 1),
            lent("acme", 2),
        ),
        submissions=(
            submission(GUEST, limit=4, array=ArrayTerms(members=((0, 2),), most_running=2)),
            submission("birch", limit=5),
        ),
        most_live=2,
        bids=((4 * MICROS, 6 * MICROS), (6 * MICROS, 4 * MICROS)),
        asks=Asks.CANCELS | Asks.BIDS | Asks.HOLDS | Asks.CLAIMS | Asks.FAILS | Asks.RETRIES,
    )


def _rights() -> Scenario:
    return Scenario(
        name="rights",
        says="3 nodes in 2 fabrics; acme reserved the two of fabric a and lends them, pays for 60 s"
        " at a time, and splits, hands over, shrinks, ends and extends what it has",
        setup=(
            *fleet(
                {"a": 2, "b": 1},
                gpus=1,
                orgs=("acme", "birch", GUEST),
                billing_period_us=PERIOD_US,
                minimum_charge_us=TICK_US,
            ),
            reserved("acme", 2),
            lent("acme", 2, keep=1),
        ),
        submissions=(submission(GUEST, limit=3),),
        most_live=1,
        bids=(),
        asks=Asks.RIGHTS | Asks.CLAIMS | Asks.FAILS,
    )


def _changes() -> Scenario:
    return Scenario(
        name="changes",
        says="3 nodes in 2 fabrics, one of them reserved and lent by acme; cedar's bids must end by"
        " the clock, which changes, are submitted again once they have ended, and may have two GPUs"
        " at a time while cedar has a cap",
        setup=(
            *fleet({"a": 2, "b": 1}, gpus=1, orgs=("acme", "birch", GUEST)),
            reserved("acme", 1),
            lent("acme", 2),
        ),
        submissions=(
            submission(GUEST, limit=3, lasts_ticks=8),
            submission(GUEST, nodes=2, limit=5),
        ),
        most_live=2,
        bids=(),
        asks=Asks.BOUNDS | Asks.RESUBMITS | Asks.CAPS | Asks.CANCELS | Asks.CLAIMS | Asks.FAILS,
    )


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "owners": _owners,
    "claims": _claims,
    "shared": _shared,
    "elastic": _elastic,
    "array": _array,
    "rights": _rights,
    "changes": _changes,
    "agent": _agent,
}
"""By name."""
