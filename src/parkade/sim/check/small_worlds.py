"""The small worlds that are searched, by name."""

from collections.abc import Callable

import msgspec

from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units.money import MICROS
from parkade.core.workloads.array import ArrayTerms
from parkade.core.workloads.spec import Resize
from parkade.sim.check.scenarios import (
    GUEST,
    MARKET,
    OTHER,
    PERIOD_US,
    RESIZES_LIVE,
    SHORT_TERMS,
    TICK_US,
    Asks,
    Scenario,
    another_market,
    buys,
    due,
    fleet,
    in_markets,
    lent,
    listed,
    reserved,
    submission,
)


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


def _live() -> Scenario:
    return Scenario(
        name="live",
        says="3 nodes of a fabric, one of them reserved and lent by acme; cedar asks for 1 to 3"
        " nodes, and its ranks come and go while it runs, of which some never begin; birch bids for"
        " one and for two",
        setup=(
            *fleet({"a": 3}, gpus=1, orgs=("acme", "birch", GUEST), start_limit_us=2 * TICK_US),
            RESIZES_LIVE,
            reserved("acme", 1),
            lent("acme", 2),
        ),
        submissions=(
            submission(GUEST, limit=4, most_nodes=3, resize=Resize.LIVE),
            submission("birch", limit=6),
            submission("birch", nodes=2, limit=5),
        ),
        most_live=2,
        bids=((4 * MICROS, 1 * MICROS), (6 * MICROS, 3 * MICROS), (3 * MICROS, 6 * MICROS)),
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


def _windows() -> Scenario:
    return Scenario(
        name="windows",
        says="3 nodes in 2 fabrics; acme reserved and lends one; cedar's work is due by a deadline"
        " and falls back to on-demand, birch takes on-demand and reserves what comes free later,"
        " a node goes into maintenance, and the notice is made longer and shorter",
        setup=(
            *fleet({"a": 2, "b": 1}, gpus=1, orgs=("acme", "birch", GUEST), **SHORT_TERMS),
            reserved("acme", 1),
            lent("acme", 2),
        ),
        submissions=(due(limit=3), submission("birch", lasts_ticks=1)),
        most_live=2,
        bids=(),
        asks=Asks.AFTERWARDS | Asks.TERMS | Asks.MAINTENANCE | Asks.CLAIMS,
    )


def _deadlines() -> Scenario:
    return Scenario(
        name="deadlines",
        says="2 nodes in 2 fabrics; acme reserved and lends one; cedar's work is due by a deadline"
        " and falls back to on-demand, birch bids against it; what started may run for 30 s, and"
        " the notice is made longer and shorter",
        setup=(
            *fleet(
                {"a": 1, "b": 1},
                gpus=1,
                orgs=("acme", "birch", GUEST),
                min_runtime_us=3 * TICK_US,
                **SHORT_TERMS,
            ),
            reserved("acme", 1),
            lent("acme", 2),
        ),
        submissions=(
            due(limit=3),
            submission("birch", limit=5),
            submission("birch", lasts_ticks=1),
        ),
        most_live=3,
        bids=((5 * MICROS, 2 * MICROS), (2 * MICROS, 5 * MICROS)),
        asks=Asks.BIDS | Asks.CANCELS | Asks.CLAIMS | Asks.FAILS | Asks.TERMS,
    )


def _linked() -> Scenario:
    return Scenario(
        name="linked",
        says="2 markets of a node each; cedar bids in both, first in the one in which acme reserved"
        " the node and lends it, and birch in either; limits change, and nodes fail",
        setup=(
            *fleet({"a": 1}, gpus=1, orgs=("acme", "birch", GUEST)),
            another_market({"b": 1}, gpus=1),
            reserved("acme", 1, market=MARKET),
            lent("acme", 2),
        ),
        submissions=(
            in_markets(GUEST, {MARKET: 5, OTHER: 3}),
            in_markets("birch", {OTHER: 5, MARKET: 6}),
            submission("acme", reservation="acme"),
        ),
        most_live=3,
        bids=(),
        asks=Asks.CANCELS | Asks.HOLDS | Asks.FAILS | Asks.CLAIMS,
    )


def _lists() -> Scenario:
    return Scenario(
        name="lists",
        says="3 nodes in 2 fabrics; acme reserved one and lends it, and has work for it alone and"
        " work that uses it first and bids for spot where it is full; cedar bids against that",
        setup=(
            *fleet({"a": 2, "b": 1}, gpus=1, orgs=("acme", GUEST)),
            reserved("acme", 1),
            lent("acme", 2),
        ),
        submissions=(
            listed("acme", limit=4),
            submission("acme", reservation="acme"),
            submission(GUEST, limit=3),
            submission(GUEST, nodes=2, limit=5),
        ),
        most_live=3,
        bids=((4 * MICROS, 6 * MICROS), (6 * MICROS, 4 * MICROS)),
        asks=Asks.CANCELS | Asks.BIDS | Asks.HOLDS | Asks.CLAIMS | Asks.FAILS,
    )


def _jobs() -> Scenario:
    return Scenario(
        name="jobs",
        says="3 nodes in 2 fabrics; acme reserved and lends two, and has jobs in the engine's own"
        " queue, which starts them by itself too, as it does one of others; it may take no job of"
        " cedar's user, who bids for one node and for two",
        setup=(
            *fleet({"a": 2, "b": 1}, gpus=1, orgs=("acme", GUEST)),
            reserved("acme", 2),
            lent("acme", 2),
        ),
        submissions=(
            submission(GUEST, limit=3),
            submission(GUEST, nodes=2, limit=5),
            submission("acme", reservation="acme"),
        ),
        most_live=2,
        bids=(),
        asks=Asks.JOBS | Asks.ADMISSION,
    )


def _buying() -> Scenario:
    return Scenario(
        name="buying",
        says="2 nodes in a fabric; acme reserved one, and has work that uses it first and buys"
        " on-demand where it is full; so does cedar where its bid loses",
        setup=(*fleet({"a": 2}, gpus=1, orgs=("acme", GUEST)), reserved("acme", 1)),
        submissions=(
            buys("acme"),
            submission("acme", reservation="acme"),
            buys(GUEST, limit=3),
            submission(GUEST, limit=5),
        ),
        most_live=3,
        bids=(),
        asks=Asks.CANCELS | Asks.FAILS,
    )


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "owners": _owners,
    "claims": _claims,
    "shared": _shared,
    "elastic": _elastic,
    "live": _live,
    "array": _array,
    "rights": _rights,
    "changes": _changes,
    "agent": _agent,
    "windows": _windows,
    "deadlines": _deadlines,
    "linked": _linked,
    "lists": _lists,
    "jobs": _jobs,
    "buying": _buying,
}
"""By name."""
