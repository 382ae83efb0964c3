"""Builders for all tests: a whole value from the few fields that a test is about.

Each builder has one default for every field and takes changes by name, so that a new field of a
record is added here and nowhere else. Amounts are micro-units, instants and spans microseconds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from parkade.control.rules import RULES, Rules
from parkade.control.writer import Dependencies
from parkade.core.fleet.market import InstanceType, Market, MarketTerms
from parkade.core.fleet.pool import Pool
from parkade.core.fleet.seat import Seat
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units.fraction import Fraction
from parkade.core.units.indexes import parse_indexes
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.array import ArrayTerms
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Spec
from parkade.core.workloads.workload import Stop
from parkade.ports import Capabilities, DesiredAttempt, DesiredState, Leadership, SaveRequest, Store


def terms(**changes: Any) -> MarketTerms:
    """Terms of a market: half a minute of notice, and no buffer."""
    made = MarketTerms(
        pay_as_you_go_micros=12 * MICROS,
        reservation_rate_micros=4 * MICROS,
        public_floor_micros=1 * MICROS,
        fee=Fraction(numerator=2, denominator=7),
        switching_credit=Fraction(numerator=1, denominator=20),
        notice_us=30 * SECOND_US,
        heal_notice_us=10 * SECOND_US,
        kill_us=5 * SECOND_US,
        turnaround_us=0,
        start_grace_us=120 * SECOND_US,
        minimum_charge_us=30 * SECOND_US,
        release_grace_us=60 * SECOND_US,
        clearing_interval_us=30 * SECOND_US,
        clearing_pause_us=SECOND_US,
        billing_period_us=HOUR_US,
        backoff_us=60 * SECOND_US,
        retention_us=24 * HOUR_US,
        buffer_nodes=0,
    )
    return replace(made, **changes)


def instance_type(gpus: int = 4) -> InstanceType:
    """A kind of node."""
    return InstanceType(name="kind", gpu_model="H100", gpus_per_node=gpus, memory_gib=8, cpus=4)


def market(name: str, **changes: Any) -> Market:
    """A market, never cleared."""
    made = Market(
        market=name,
        site="site",
        instance_type=instance_type(),
        terms=terms(),
        fabrics=("a",),
        ladder=(),
        cleared_us=0,
        clearings=0,
    )
    return replace(made, **changes)


def pool(name: str, **changes: Any) -> Pool:
    """A pool whose agent was never heard."""
    made = Pool(
        pool=name,
        site="site",
        supplier=None,
        engine="local",
        opened_us=1,
        is_reachable=True,
        first_heard_us=None,
    )
    return replace(made, **changes)


def open_epoch() -> commands.OpenEpoch:
    """The command that a writer begins with."""
    return commands.OpenEpoch(by=None, installation="i" * 32, lineage="l" * 32)


Fabrics = Mapping[str, int] | tuple[tuple[str, tuple[str, ...]], ...]


def open_pool(
    name: str, fabrics: Fabrics | None = None, *, gpus: int = 4, **changes: Any
) -> commands.OpenPool:
    """The command that opens a pool and its market; `fabrics` is how many nodes each has (a1, a2,
    …), or their names.

    `changes` are of the pool, of its supply, or the new market's `instance_type` and `terms`.
    """
    opens: dict[str, Any] = {"instance_type": instance_type(gpus), "terms": terms()}
    opens |= {key: changes.pop(key) for key in ("instance_type", "terms") if key in changes}
    supply: dict[str, Any] = {
        "market": name,
        "opens": commands.NewMarket(**opens),
        "fabrics": _fabrics(fabrics or {}),
    }
    supply |= {key: changes.pop(key) for key in ("market", "opens") if key in changes}
    made = commands.OpenPool(
        by=None,
        pool=name,
        site="site",
        supplier=None,
        engine="local",
        supply=commands.Supply(**supply),
    )
    return replace(made, **changes)


def _fabrics(fabrics: Fabrics) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if isinstance(fabrics, tuple):
        return fabrics
    return tuple(
        (fabric, tuple(f"{fabric}{number}" for number in range(1, count + 1)))
        for fabric, count in fabrics.items()
    )


def array(text: str) -> ArrayTerms:
    """The members of `0-199%20`, as the spec's key has it."""
    members, _, most = text.partition("%")
    return ArrayTerms(members=parse_indexes(members), most_running=int(most) if most else None)


def spec(**changes: Any) -> Spec:
    """A spot workload of one GPU."""
    made = Spec(
        name="job",
        command="true",
        workdir="/",
        env=(),
        env_file=None,
        storage=(),
        nodes=1,
        gpus=1,
        instance_type=None,
        interconnect=Interconnect.FABRIC,
        capacity=Capacity(kind=CapacityKind.SPOT),
        limit_price_micros=2 * MICROS,
        max_spend_micros=None,
        checkpoint=None,
        priority=0,
        retry_failures=0,
        max_duration_us=None,
    )
    return replace(made, **changes)


def create_user(
    user: str, org: str, *, role: Role = Role.MEMBER, unix_name: str | None = None
) -> commands.CreateUser:
    """The command that adds a user."""
    return commands.CreateUser(by=None, user=user, org=org, role=role, unix_name=unix_name)


def submit(org: str, by: str | None = None, **changes: Any) -> commands.Submit:
    """A submission to the only market; `changes` are of its spec."""
    return commands.Submit(by=by, org=org, market=None, spec=spec(**changes), is_held=False)


def desired(attempt: str = "w1.1", **changes: Any) -> DesiredAttempt:
    """An attempt that shall run, of the workload that its id names."""
    made = DesiredAttempt(
        attempt=attempt,
        workload=attempt.partition(".")[0],
        generation=1,
        launch_sequence=1,
        name="job",
        org="acme",
        unix_user=None,
        command="true",
        workdir="/",
        env=(),
        env_file=None,
        ranks=(Seat(node="n0", gpus=1),),
        stop=None,
        ordered_us=1,
        save=SaveRequest(signals=(), command=None),
    )
    return replace(made, **changes)


def desired_state(pool: str, *attempts: DesiredAttempt, **changes: Any) -> DesiredState:
    """All that shall run in a pool."""
    made = DesiredState(
        pool=pool, epoch=1, installation="i" * 32, lineage="l" * 32, sequence=1, attempts=attempts
    )
    return replace(made, **changes)


def observed(attempt: str = "w1.1", **changes: Any) -> ObservedAttempt:
    """An attempt as an agent sees it: running since the instant 1."""
    made = ObservedAttempt(
        attempt=attempt,
        generation=1,
        phase=EnginePhase.RUNNING,
        started_us=1,
        released_us=None,
        exits=(),
        checkpoint=None,
        devices=(),
        launch_error=None,
        engine_state="running",
    )
    return replace(made, **changes)


def capabilities(**changes: Any) -> Capabilities:
    """What an engine can: to run commands, and what is said besides."""
    made = Capabilities(
        engine="tiny",
        version="1",
        isolates_users=False,
        has_containers=False,
        keeps_memory_limits=False,
        unsupported_keys=(),
    )
    return replace(made, **changes)


def stop_order(now_us: int, *, term_s: float, kill_s: float, cause: str = "outbid") -> Stop:
    """TERM and KILL that many seconds from now."""
    return Stop(
        noticed_us=now_us,
        deadline_us=now_us + int(term_s * SECOND_US),
        kill_us=now_us + int(kill_s * SECOND_US),
        cause=Cause(cause),
    )


def pool_body(
    nodes: Sequence[str] = ("n1", "n2"), *, gpus: int = 2, **changes: Any
) -> dict[str, Any]:
    """A pool as the API takes it, its nodes in one fabric."""
    kind = {"name": "tiny", "gpu_model": "T1", "gpus_per_node": gpus, "memory_gib": 8, "cpus": 2}
    return {
        "pool": "lab",
        "site": "elsewhere",
        "instance_type": kind,
        "fabrics": {"f1": list(nodes)},
        "terms": terms_body(),
        **changes,
    }


def terms_body(**changes: Any) -> dict[str, Any]:
    """Terms as the API takes them: prices, and notices of a second."""
    return {
        "pay_as_you_go": "12",
        "reservation_rate": "4",
        "public_floor": "1.00",
        "fee": "2/7",
        "notice": "1s",
        "heal_notice": "1s",
        "kill": "1s",
        "turnaround": "0s",
        "clearing_interval": "1s",
        "clearing_pause": "50ms",
        "buffer_nodes": 0,
        **changes,
    }


def no_point(_point: str) -> None:
    """A seam of a commit where no test lets the power fail."""


def no_fatal(_error: BaseException) -> None:
    """What stopped the writer is not looked at."""


class Leading:
    """Leadership in a test's hand."""

    def __init__(self) -> None:
        self.is_lost = False

    def acquire(self) -> None:
        """Nothing to wait for."""

    def is_held(self) -> bool:
        """Until the test says otherwise."""
        return not self.is_lost

    def release(self) -> None:
        """Nothing to let go of."""


def dependencies(
    store: Store,
    clock: Any,
    *,
    rules: Rules = RULES,
    on_fatal: Callable[[BaseException], None] = no_fatal,
    crash_point: Callable[[str], None] = no_point,
    leadership: Leadership | None = None,
) -> Dependencies:
    """What a writer is given."""
    return Dependencies(
        store=store,
        clock=clock,
        rules=rules,
        on_fatal=on_fatal,
        crash_point=crash_point,
        leadership=leadership or Leading(),
    )
