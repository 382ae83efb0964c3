"""The figures of a report as values; `--json` prints them, the page draws them.

The form has a version: fields are added, never renamed or given another meaning. Hours are
GPU-hours, waits are seconds, money is in the unit of the floors that were given.
"""

import msgspec

from parkade.sim.observe.accuracy import Accuracy

REPORT_VERSION = 1


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows of the file."""

    rows: int
    jobs: int
    left_out: dict[str, int]
    """Rows that are no jobs, by why."""

    noted: dict[str, int]
    """Jobs with something to say of them."""

    examples: tuple[str, ...]
    """A few rows that no rule knows."""

    outside: dict[str, int]
    """Jobs that take no part, by why."""


class FleetFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What there is."""

    nodes: int
    gpus: int
    kinds: tuple[str, ...]
    is_inferred: bool
    unseen_nodes: int


class AccountFigures(msgspec.Struct, frozen=True, kw_only=True):
    """An account over the whole window, on one kind of nodes."""

    account: str
    kind: str
    entitled_gpus: int
    basis: str | None
    """Where the entitlement is from: `file`, `partition`, `reservation` or `peak`; None: it has
    none."""

    peak_gpus: int
    used_hours: float
    idle_hours: float
    borrowed_hours: float
    queued_hours: float


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What jobs held and, as far as the data shows it, did not use."""

    beyond_request_hours: float
    """GPUs that jobs held beyond those that they asked for."""

    without_cpu_hours: float | None
    """GPUs of jobs that used less than a hundredth of one CPU; None: the data has no CPU times."""


class AccountWaits(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of an account in the part that was played, at one floor."""

    account: str
    jobs: int
    trace_mean_s: float
    market_mean_s: float
    sooner: int
    """Jobs that were delayed by a minute less, or more than that, than in the trace."""

    later: int
    paid: float
    earned: float


class FloorFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the trace on the market, at one floor."""

    kind: str
    floor: float
    jobs: int
    unfinished: int
    """Of them, those that were not done when the run ended: their bids were too low, or their
    shape never fitted. Their delay counts as if they had begun then."""

    trace_p50_s: float
    trace_mean_s: float
    market_p50_s: float
    """Delay: from eligible to done, less the job's length; work done again counts as delay."""

    market_mean_s: float
    sooner: int
    later: int
    lent_hours: float
    lost_hours: float
    paid: float
    earned: float
    fees: float
    price: float | None
    """Mean, per GPU-hour on capacity of others."""

    notices: dict[str, int]
    owner_starts: int
    owner_waited: int
    owner_p99_s: float
    owner_max_s: float
    accounts: tuple[AccountWaits, ...]
    clearings: int
    digest: str
    cpu_s: float


class PartFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the trace was played on the market."""

    kind: str
    begin_s: int
    end_s: int
    is_whole: bool
    jobs: int
    judged: int


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """What the trace does not say and the report assumes."""

    median_limit: float
    spread_percent: int
    saves_percent: int
    seed: int
    fee: str
    notice_s: float
    wait_bound_s: float
    """Notice + kill + turnaround: the longest that an owner waits for lent nodes."""


class ObserveReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a Slurm cluster could have lent."""

    version: int
    begin_s: int
    end_s: int
    rows: Rows
    fleet: FleetFigures
    fleet_hours: float
    used_hours: float
    queued_hours: float
    servable_hours: float
    """The integral of the lesser of idle and queued GPUs."""

    policy: Accuracy
    tried: tuple[Accuracy, ...]
    """Every policy that was tried, on the first jobs; the nearest one is `policy`."""

    accounts: tuple[AccountFigures, ...]
    held: Held
    assumed: Assumed
    parts: tuple[PartFigures, ...]
    floors: tuple[FloorFigures, ...]
    bin_s: float
    used_gpus: tuple[float, ...]
    queued_gpus: tuple[float, ...]
