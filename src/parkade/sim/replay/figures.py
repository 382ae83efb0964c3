"""The figures of a replay as values; `--json` prints them, the report draws them.

The form has a version: fields are added, never renamed or given another meaning. Shares are of 1,
waits in seconds, money in the installation's unit, series have one entry for each step.
"""

import msgspec

REPORT_VERSION = 1


class OwnerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How owners fared when they needed more nodes."""

    reclaims: int
    """An owner needing more nodes at one minute is one reclaim."""

    waited: int
    """Of them, how many had to wait for longer than a clearing's pause."""

    wait_p50_s: float
    wait_p99_s: float
    wait_max_s: float
    waiting_gpu_hours: float
    """GPUs of the nodes that owners waited for."""

    rechosen: int
    """Claims that had their nodes and were given others; each is a reclaim more."""


class GuestFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How queued work fared as guests."""

    ran_gpu_hours: float
    served_share: float
    """GPU-minutes that ran ÷ the sum over minutes of the lesser of queued and idle GPUs."""

    stops: int
    """Times that a guest had to leave."""

    lost_gpu_hours: float
    """Work that had to be done again."""

    background_gpu_hours: float
    """What guests ran that are none of the trace's."""

    unused_gpu_hours: float
    """Seats between an order and the first process."""

    waited_gpu_hours: dict[str, float] = {}
    """Queued and not running, by the core's reason; empty for other fleets."""


class HeadroomFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What reclaims did to guests, where at least so much of the fleet was free just before."""

    least_percent: int
    untouched: int
    moved: int
    restarted: int


class MoneyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid for what; None where the fleet has no such payment."""

    reservations: float
    guests_paid: float | None
    payouts: float | None
    fees: float | None
    guest_price: float | None
    """Mean, per GPU-hour that was charged."""

    owner_cost: float | None
    """Per useful GPU-hour of owners: reservations less payouts. None: no node is owned."""

    guest_cost: float | None
    """Per GPU-hour of guests that was not lost."""

    fleet_cost: float
    """Reservations per useful GPU-hour of owners and guests together."""


class RunCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the production core cost this machine."""

    cpu_s: float
    clearing_cpu_s: float
    clearings: int
    events: int
    digest: str
    """SHA-256 of all events; the same for the same scenario and data."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Over time. GPUs are means of each step; money is per step."""

    step_minutes: int
    owners: tuple[float, ...]
    owners_nodes: tuple[float, ...]
    guests: tuple[float, ...]
    queued: tuple[float, ...]
    prices: tuple[tuple[float, float], ...]
    """(day, mean price of running guests)."""

    payouts: tuple[tuple[float, float], ...]
    """(day, paid to owners so far)."""


class PolicyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One fleet over one trace."""

    policy: str
    """`reserved`, `shared`, `killing` or `parkade`."""

    words: str
    keep_percent: int
    floor: float | None
    """What owners receive at least, per GPU-hour; None: nothing is lent."""

    headroom_percent: int | None
    """Where background guests filled the fleet but for so much of it."""

    utilisation: float
    """Useful GPU-hours of owners and guests ÷ GPU-hours of the fleet."""

    owners: OwnerFigures
    guests: GuestFigures
    headroom: tuple[HeadroomFigures, ...]
    money: MoneyFigures
    cost: RunCost | None
    """None where the production core was not run."""

    waits_s: tuple[tuple[float, float], ...]
    """(wait, share of reclaims that waited longer), where it changes."""

    series: Series


class ResaleReport(msgspec.Struct, frozen=True, kw_only=True):
    """An idle-resale scenario over a trace."""

    version: int
    kind: str
    name: str
    orgs: int
    nodes: int
    gpus: int
    fabrics: int
    days: float
    busy_gpu_hours: float
    queued_gpu_hours: float
    servable_gpu_hours: float
    cut_guests: int
    """Guests that left the queue in part, and whose rest queued anew."""

    wait_bound_s: float
    """Notice + kill + turnaround."""

    policies: tuple[PolicyFigures, ...]


class ParkingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One week at one fill. Money is per GPU-hour."""

    fill: float
    """For what share of each parked span guests are there."""

    filled: float
    """Charged guest GPU-hours ÷ parked GPU-hours, as it came out."""

    price: float | None
    """What guests paid, by the clearings; None: none ran."""

    payouts: float
    """Paid to the owner, per parked GPU-hour."""

    owner_net: float
    """(reservation − payouts) ÷ used hours."""

    expected_net: float
    """The same by the formula, with `floor` for each filled hour of `filled`."""

    times_cheaper: float | None
    """What a useful hour costs without lending ÷ `owner_net`; None: it costs nothing."""

    digest: str


class ParkingReport(msgspec.Struct, frozen=True, kw_only=True):
    """A parking scenario. Money is per GPU-hour."""

    version: int
    kind: str
    name: str
    reserved_at: float
    pay_as_you_go: float
    floor: float
    week_hours: int
    used_hours: int
    alone: float
    """What a useful hour costs where nothing is lent."""

    rows: tuple[ParkingRow, ...]


ReplayReport = ResaleReport | ParkingReport
