"""Each assertion of `check` is raised by a world that breaks this fact and no other.

The world `W` is whole. A row names the words of an assertion and the one change that breaks it.
The records are changed without the indexes, which have assertions of their own.
"""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.kernel.check import check
from parkade.core.ledger.accounts import EXTERNAL
from parkade.core.state.world import World
from parkade.core.units.money import MICROSECONDS_PER_HOUR
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import Capacity, CapacityKind
from tests import builders
from tests.core.records import attempt, claim, promise, reservation, seats, stop, workload, world

GANG = builders.spec(nodes=2, gpus=2, max_spend_micros=100)
ON_DEMAND = builders.spec(
    capacity=Capacity(kind=CapacityKind.ON_DEMAND), limit_price_micros=None, max_duration_us=HOUR_US
)


def whole() -> World:
    """`w1` runs on two GPUs of each of two nodes, `w2` is promised one GPU, `w3` waits, and so does
    the claim `c1`; the reservation has one of the two nodes, and the market holds two
    micro-units, which it owes."""
    return world(
        workload("w1", spec=GANG, attempt=attempt(seats=seats(a1=2, a2=2)), spent_micros=100),
        workload("w2", promise=promise()),
        workload("w3"),
        reservation(shape=(("a", 1),)),
        claim(),
        balances={"org/lab": 5, "clearing/market": 2},
        owed={"market": {"org/acme": 2 * MICROSECONDS_PER_HOUR}},
    )


Break = Callable[[World], None]


def changed(name: str, **changes: Any) -> Break:
    """One workload's record becomes another."""

    def apply(here: World) -> None:
        records = here.records.workloads
        records[name] = replace(records[name], **changes)

    return apply


def balances(**micros: int) -> Break:
    """The accounts hold this; `_` stands for the slash of a name."""

    def apply(here: World) -> None:
        here.records.balances.update(
            {account.replace("_", "/"): held for account, held in micros.items()}
        )

    return apply


def claimed(**changes: Any) -> Break:
    """The claim becomes another."""

    def apply(here: World) -> None:
        here.records.claims["c1"] = claim(**changes)

    return apply


def owes(numerator: int) -> Break:
    """The market owes so much to `acme`, and so much less to `lab`, in parts of a micro-unit."""

    def apply(here: World) -> None:
        rest = 2 * MICROSECONDS_PER_HOUR - numerator
        here.records.owed["market"] = {"org/acme": numerator, "org/lab": rest}

    return apply


def owes_nothing(here: World) -> None:
    """The market forgot that it owes."""
    here.records.owed.clear()


def oversold(here: World) -> None:
    """On-demand has the second node, and one of the two is the buffer."""
    here.records.markets["market"] = builders.market("market", terms=builders.terms(buffer_nodes=2))


def sold_twice(here: World) -> None:
    """On-demand got two nodes of the fabric, beside the reservation's."""
    spec = replace(ON_DEMAND, nodes=2)
    here.records.workloads["w3"] = workload("w3", spec=spec, fabric="a", must_end_us=HOUR_US)


BROKEN: list[tuple[str, str, Break]] = [
    ("money was made", "does not sum to zero", balances(external=-6)),
    ("an org owes", "org/lab holds -1", balances(org_lab=-1, external=-1)),
    (
        "a market owes",
        "clearing/market holds -1",
        balances(clearing_market=-1, external=-4),
    ),
    (
        "a market holds more than it owes",
        "clearing/market holds what it does not owe",
        balances(clearing_market=3, external=-8),
    ),
    ("what a market owes is lost", "holds what it does not owe", owes_nothing),
    ("a market is owed", "owes less than nothing", owes(-1)),
    (
        "a node holds more GPUs than it has",
        "a1 holds 5 GPUs",
        changed(
            "w3",
            spec=builders.spec(gpus=3),
            attempt=attempt(attempt="w3.1", seats=seats(a1=3), stop=stop()),
            phase=Phase.PREEMPTING,
            generation=1,
        ),
    ),
    (
        "a claim holds what another has",
        "a2 holds 5 GPUs",
        claimed(seats=seats(a2=3), promised_us=0, seated_us=0),
    ),
    (
        "more is promised than stays free",
        "a1 keeps and promises 5 GPUs",
        changed("w2", spec=builders.spec(gpus=3), promise=promise(seats=seats(a1=3))),
    ),
    (
        "a claim is promised what stays",
        "a2 keeps and promises 6 GPUs",
        claimed(seats=seats(a2=4), promised_us=0),
    ),
    ("the buffer is sold", "a is oversold", oversold),
    ("a fabric is sold twice", "a is oversold", sold_twice),
    ("a claim waits without a reason", "c1 waits for ''", claimed(why="")),
    (
        "it runs without an attempt",
        "w3 is running with None",
        changed("w3", phase=Phase.RUNNING),
    ),
    (
        "it waits with an attempt",
        "w1 is queued with Attempt",
        changed("w1", phase=Phase.QUEUED, why=Why.NEXT_CLEARING),
    ),
    ("it is placed nowhere", "w3 is placed with None", changed("w3", phase=Phase.PLACED)),
    (
        "it is promised seats and waits",
        "w2 is queued with Promise",
        changed("w2", phase=Phase.QUEUED),
    ),
    ("it waits without a reason", "w3 waits for ''", changed("w3", why="")),
    (
        "half a gang runs",
        "a gang starts whole",
        changed("w1", attempt=attempt(seats=seats(a1=2))),
    ),
    (
        "half a gang is promised seats",
        "a gang starts whole",
        changed("w2", spec=builders.spec(nodes=2)),
    ),
    (
        "two ranks of a spread gang are on one node",
        "share a node",
        changed("w1", attempt=attempt(seats=(*seats(a1=2), *seats(a1=1)))),
    ),
    (
        "a rank has fewer GPUs",
        "other GPUs than were asked for",
        changed("w1", attempt=attempt(seats=seats(a1=2, a2=1))),
    ),
    ("an older attempt runs", "not of generation 2", changed("w1", generation=2)),
    (
        "it has its notice and runs on",
        "w1 is running with Stop",
        changed("w1", attempt=attempt(seats=seats(a1=2, a2=2), stop=stop())),
    ),
    (
        "it leaves without a notice",
        "w1 is preempting with None",
        changed("w1", phase=Phase.PREEMPTING),
    ),
    ("it spent too much", "w1 spent 101, above max_spend", changed("w1", spent_micros=101)),
]


def test_a_whole_world_is_let_through() -> None:
    here = whole()
    assert here.records.balances[EXTERNAL] == -7
    check(here)


@pytest.mark.parametrize(
    ("words", "break_it"), [it[1:] for it in BROKEN], ids=[it[0] for it in BROKEN]
)
def test_a_broken_world_is_told(words: str, break_it: Break) -> None:
    here = whole()
    break_it(here)
    with pytest.raises(AssertionError, match=words):
        check(here)
