"""Records of the world for tests of the core: a whole record from the fields a test is about.

As in `tests.builders`, each has one default for every field. The numbers fit each other: a GPU
costs one micro-unit a second, so that amounts are worked out by hand.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Health, Node
from parkade.core.fleet.pool import Pool
from parkade.core.fleet.seat import Seat
from parkade.core.reservations.reservation import Claim, Reservation, ReservationState
from parkade.core.state.people import Org, Role, User
from parkade.core.state.world import Records, World
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, SECOND_US, Window
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.workload import Attempt, Promise, Rate, Stop, Workload
from tests import builders


def node(name: str, **changes: Any) -> Node:
    """A healthy node of the pool `pool`, sold in the market `market`; its fabric is its first
    letter."""
    made = Node(
        node=name,
        pool="pool",
        market="market",
        fabric=name[0],
        gpus=4,
        health=Health.HEALTHY,
        health_reason="",
        cordons=(),
        last_org=None,
        vacated_us=0,
    )
    return replace(made, **changes)


def seats(**gpus: int) -> tuple[Seat, ...]:
    """Seats by node: `seats(a1=4, a2=4)`."""
    return tuple(Seat(node=name, gpus=count) for name, count in gpus.items())


def rate(price_micros: int, from_us: int = 0, **shares: int) -> Rate:
    """A price from an instant on; `shares` by org, in micro-units per hour, `operator` the fee."""
    accounts = {org if org == "operator" else f"org/{org}": share for org, share in shares.items()}
    return Rate(from_us=from_us, price_micros=price_micros, shares=tuple(accounts.items()))


def stop(cause: Cause = Cause.OUTBID, *, at_us: int = 0, kill_us: int = 35 * SECOND_US) -> Stop:
    """A notice given at an instant whose deadline is 5 s before the kill."""
    return Stop(noticed_us=at_us, deadline_us=kill_us - 5 * SECOND_US, kill_us=kill_us, cause=cause)


def promise(**changes: Any) -> Promise:
    """One GPU of the node `a1`, promised at 0 and free already."""
    made = Promise(
        seats=seats(a1=1),
        promised_us=0,
        displaces=False,
        busy=0,
        rates=(rate(3600),),
    )
    return replace(made, **changes)


def attempt(**changes: Any) -> Attempt:
    """The first attempt of `w1`: one GPU of the node `a1`, ordered and started at 0, at one
    micro-unit a second."""
    made = Attempt(
        attempt="w1.1",
        generation=1,
        seats=seats(a1=1),
        ordered_us=0,
        displaced=False,
        started_us=0,
        stop=None,
        broken_us=None,
        rates=(rate(3600),),
        charged_until_us=0,
        charged_numerator=0,
        posted_us=0,
        billed_us=0,
        checkpoint_step=None,
        checkpoint_us=None,
        launch_sequence=1,
    )
    return replace(made, **changes)


def workload(name: str = "w1", **changes: Any) -> Workload:
    """A spot workload of the org `lab` that waits; with an attempt, one that runs."""
    made = Workload(
        workload=name,
        org="lab",
        user="ann",
        market="market",
        spec=builders.spec(),
        phase=Phase.QUEUED,
        why=Why.NEXT_CLEARING,
        price_to_win_micros=None,
        submitted_us=0,
        generation=0,
        attempt=None,
        promise=None,
        failures=0,
        preemptions=0,
        spent_micros=0,
        not_before_us=0,
        must_end_us=None,
        agreed_price_micros=None,
        fabric=None,
        is_budget_noted=False,
        short_us=None,
        ended_us=None,
        checkpoint_step=None,
        price_set_by=None,
        exit_summary="",
    )
    if changes.get("attempt") is not None:
        running: dict[str, Any] = {"phase": Phase.RUNNING, "why": "", "generation": 1}
        changes = running | changes
    elif changes.get("promise") is not None:
        changes = {"phase": Phase.PLACED, "why": Why.PLACED} | changes
    return replace(made, **changes)


def reservation(name: str = "acme", **changes: Any) -> Reservation:
    """Two nodes of the fabric `a`, of four GPUs each, at 4 per GPU-hour with an open end; the first
    hour is paid."""
    made = Reservation(
        reservation=name,
        org=name,
        market="market",
        window=Window(start_us=0, end_us=None),
        shape=(("a", 2),),
        gpus_per_node=4,
        rate_micros=4 * MICROS,
        lending=None,
        state=ReservationState.IN_FORCE,
        created_us=0,
        paid_until_us=HOUR_US,
    )
    return replace(made, **changes)


def claim(name: str = "c1", **changes: Any) -> Claim:
    """One node that the owner `acme` wants for itself."""
    made = Claim(
        claim=name,
        reservation="acme",
        org="acme",
        nodes=1,
        claimed_us=0,
        seats=(),
        promised_us=None,
        seated_us=None,
        why=Why.NEXT_CLEARING,
    )
    return replace(made, **changes)


def world(
    *records: Workload | Reservation | Claim,
    nodes: Sequence[Node] | None = None,
    markets: Sequence[Market] | None = None,
    pools: Sequence[Pool] | None = None,
    balances: Mapping[str, int] | None = None,
    **changes: Any,
) -> World:
    """A world of these records, with the orgs and users that they name.

    Without others it has one market, `market`, of one pool with the nodes `a1` and `a2`. Money
    comes from outside: `balances` are by account.
    """
    held = dict(balances or {})
    made = Records(
        pools={it.pool: it for it in pools or [builders.pool("pool")]},
        markets={it.market: it for it in markets or [builders.market("market")]},
        nodes={it.node: it for it in nodes or [node("a1"), node("a2")]},
        orgs={it.org: Org(org=it.org, created_us=0) for it in records},
        users={it.user: _user(it) for it in records if isinstance(it, Workload)},
        balances={**held, "external": -sum(held.values())} if held else {},
        reservations={it.reservation: it for it in records if isinstance(it, Reservation)},
        claims={it.claim: it for it in records if isinstance(it, Claim)},
        workloads={it.workload: it for it in records if isinstance(it, Workload)},
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return World(made)


def _user(workload: Workload) -> User:
    return User(user=workload.user, org=workload.org, role=Role.MEMBER, unix_name=None)
