"""What needs a person: caps of which four fifths are spent, and work that was told to leave."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from parkade.console.needs import MOST_OF_A_KIND, failing_receivers, needs, troubles
from parkade.console.words import headline
from parkade.messages.queue import Waiting
from parkade.wire.feed import Standing
from parkade.wire.lot import Lot, LotCordon, LotHolder, LotNode, LotNotice, LotSeat
from parkade.wire.people import Org, User

AT = datetime(2026, 1, 31, tzinfo=UTC)


def lot_of(*holders: LotHolder) -> Lot:
    return Lot(sequence=1, at=AT, nodes=(), holders=holders, fabrics=(), sums=None, promises=None)


def said(*capped: Org | User, holders: tuple[LotHolder, ...] = ()) -> list[str]:
    return [it.says for it in needs(lot_of(*holders), (), (), user=None, capped=capped)]


def spent(user: str, amount: str, **changes: Any) -> User:
    values = {"cap": Decimal(10), "spent": Decimal(amount), "spent_this_month": Decimal(0)}
    return User(user=user, org="lab", role="member", unix_name=None, **{**values, **changes})


def test_a_cap_is_told_of_from_four_fifths_on() -> None:
    found = said(spent("eve", "8"), spent("ann", "7.99"), spent("bob", "99", cap=None))
    assert found == ["eve spent 80 % of its cap"]


def test_a_monthly_cap_counts_this_month() -> None:
    monthly = spent("eve", "99", cap_period="month", spent_this_month=Decimal("9.5"))
    past = spent("ann", "99", cap_period="month", spent_this_month=Decimal("1"))
    assert said(monthly, past) == ["eve spent 95 % of its monthly cap"]


def test_an_engine_that_does_not_answer_is_named_in_place_of_its_agent() -> None:
    standing = Standing(
        server="1", is_running=True, is_clock_doubted=False, clock_behind=timedelta(),
        frozen_markets=(), silent_pools=("a", "b"), engine_silent_pools=("b",),
    )  # fmt: skip
    assert troubles(standing) == [
        "the engine of pool b does not answer its agent",
        "the agent of pool a is silent",
    ]


def test_a_job_that_an_engine_started_by_itself_is_told_of_while_a_right_waits() -> None:
    why = "job 42 of ann; beyond reservation vision"
    others = LotCordon(holder="others:parkade", reason=why, is_of_others=True)
    persons = LotCordon(holder="ann", reason="a cable", is_of_others=False)
    nodes = tuple(
        node(name, "", "closed").model_copy(update={"cordons": cordons})
        for name, cordons in (("n1", (persons, others)), ("n2", (others,)), ("n3", (persons,)))
    )
    for phase, expected in (("queued", 1), ("running", 0)):
        claim = leaving("c2", kind="claim", reservation="nlp", phase=phase, notice=None)
        lot = lot_of(claim).model_copy(update={"nodes": nodes})
        found = [it.says for it in needs(lot, (), (), user=None) if it.kind == "incident"]
        assert found == expected * [
            (
                "a reservation has no room, and n1, n2 are taken: job 42 of ann; beyond reservation"
                " vision. On Slurm, scontrol requeue lets a job wait and scancel ends it"
            )
        ]


def test_no_more_than_a_few_are_named() -> None:
    found = said(*(spent(f"u{it}", "9") for it in range(MOST_OF_A_KIND + 2)))
    assert len(found) == MOST_OF_A_KIND + 1 and found[-1].startswith("2 more")


def leaving(holder: str, **changes: Any) -> LotHolder:
    notice = LotNotice(
        noticed=AT,
        deadline=AT + timedelta(seconds=changes.pop("left_s", 30)),
        kill=AT + timedelta(seconds=90),
        cause="outbid",
    )
    values: dict[str, Any] = {
        "holder": holder, "kind": "workload", "name": "sweep", "org": "lab", "user": "ann",
        "use": "spot", "capacity": "spot", "phase": "preempting", "gpus": 2, "price": None,
        "limit_price": None, "price_to_win": None, "lent": None, "notice": notice, "since": AT,
        "says": "",
    }  # fmt: skip
    return LotHolder(**{**values, **changes})


def test_members_that_leave_together_are_one_line() -> None:
    members = tuple(leaving(f"w3_{it}") for it in range(9))
    assert said(holders=members) == ["9 called sweep of lab leave 18 GPUs: outbid"]
    other = (leaving("w4", name="tune"), leaving("w5", left_s=40), *members)
    assert said(holders=other) == [
        "9 called sweep of lab leave 18 GPUs: outbid",
        "w4 tune of lab leaves 2 GPUs: outbid",
        "w5 sweep of lab leaves 2 GPUs: outbid",
    ]


def test_those_left_out_are_counted_one_by_one() -> None:
    named = tuple(leaving(f"w{it}", name=f"job{it}") for it in range(MOST_OF_A_KIND))
    found = said(holders=(*named, leaving("w8", left_s=50), leaving("w9", left_s=50)))
    assert found[-1] == "2 more were told to leave"


def test_two_of_one_name_that_wait_are_told_apart() -> None:
    waiting = {"name": "count", "phase": "queued", "notice": None, "says": "its limit is low"}
    found = said(holders=tuple(leaving(each, **waiting) for each in ("w7", "w8")))
    assert found == [f"{each} count of lab waits: its limit is low" for each in ("w7", "w8")]


def test_no_bid_above_what_on_demand_costs_is_proposed() -> None:
    waiting = {"phase": "queued", "notice": None, "says": "low", "price_to_win": Decimal("36.12")}
    lot = lot_of(leaving("w7", **waiting))
    for posted, action, says in (
        ("12", None, "; a limit of 36.12 would win, and on-demand costs 12.00"),
        ("40", ("Bid 36.12", "/workloads/w7/bid?limit_price=36.12"), ""),
    ):
        (need,) = needs(lot, (), (), user=None, on_demand={"w7": Decimal(posted)})
        assert (need.action, need.says) == (action, f"w7 sweep of lab waits: low{says}")


def test_an_array_whose_members_are_open_does_not_wait_itself() -> None:
    waiting = {"phase": "queued", "notice": None, "says": "low"}
    members = (leaving("w3", **waiting), leaving("w3_0", **waiting, member_of="w3"))
    assert said(holders=members) == ["w3_0 sweep of lab waits: low"]
    lot = lot_of(leaving("w3_0", **waiting, member_of="w3", price_to_win=Decimal(36)))
    (need,) = needs(lot, (), (), user=None, on_demand={"w3": Decimal(12)})
    assert need.action is None, "what on-demand costs is known by the array"


def node(
    name: str,
    says: str,
    state: Literal["open", "closed", "out"] = "out",
    health: str = "healthy",
) -> LotNode:
    return LotNode(
        node=name,
        pool="lab",
        market="lab",
        fabric="a",
        gpus=2,
        state=state,
        says=says,
        seats=(),
        promised=(),
        health=health,
    )


def test_a_node_that_a_person_failed_waits_for_one() -> None:
    nodes = (
        node("a1", "failed: fell off the rack", health="failed"),
        node("a2", "repairing: failed: xid/79", health="repairing"),
        node("a3", "cordoned by op: later", "closed"),
    )
    lot = lot_of().model_copy(update={"nodes": nodes})
    (found,) = needs(lot, (), (), user=None)
    assert found.says.startswith("a1 is out of play, failed: fell off the rack")
    assert found.action == ("Restore", "/nodes/a1/restore")


def test_an_org_with_a_claim_alone_is_not_said_to_have_a_workload() -> None:
    holder = leaving("c1", kind="claim", phase="claimed", use="owner").model_copy(
        update={"notice": None}
    )
    seats = node("a1", "", "open").model_copy(update={"seats": (LotSeat(holder="c1", gpus=2),)})
    lot = lot_of(holder).model_copy(update={"nodes": (seats,)})
    assert headline(lot, org="lab").says == "lab holds 2 GPUs with 1 claim"


def test_a_claim_that_waits_is_called_one_and_leads_to_its_reservation() -> None:
    claim = leaving("c1", kind="claim", name="c1", phase="waiting", reservation="acme")
    lot = lot_of(claim.model_copy(update={"notice": None}))
    (found,) = needs(lot, (), (), user=None)
    assert found.says.startswith("claim c1 of lab waits") and found.about == "/reservations/acme"
    assert headline(lot, org="lab").says == "lab holds nothing now; 1 claim waits"


def test_a_receiver_that_fails_needs_a_person() -> None:
    failing = Waiting(messages=2, says="HTTP 500", failed_us=1_000_000, again_us=61_000_000)
    (need,) = failing_receivers([("mail/ops", "mail/ops", failing)])
    assert need.says == "mail/ops takes no messages: HTTP 500; 2 messages not heard, again in"
    assert need.until is not None and need.until.timestamp() == 61
    over = Waiting(messages=0, says="HTTP 410", failed_us=1_000_000)
    (need,) = failing_receivers([("webhook-1", "https://x.org/", over)])
    assert need.says == "https://x.org/ takes no messages: HTTP 410"
    assert len(failing_receivers([("a", "a", over)] * 9)) == 7


def test_a_line_keeps_its_place_while_it_is_about_the_same() -> None:
    org = Org(org="ann", created=AT, balance=Decimal(1), cap=Decimal(10), spent=Decimal(8))
    later = org.model_copy(update={"spent": Decimal(9)})
    first, second = (needs(lot_of(), (), (), user=None, capped=[it]) for it in (org, later))
    assert first[0].says != second[0].says and first[0].key == second[0].key
    both = needs(lot_of(), (), (), user=None, capped=[org, spent("ann", "8")])
    assert len({it.key for it in both}) == 2, "an org and a user of one name are told apart"
    lots = [
        lot_of().model_copy(update={"nodes": (node("a3", says, "out", "failed"),)})
        for says in ("failed: dust", "failed: a fan")
    ]
    dust, fan = (needs(it, (), (), user=None)[0] for it in lots)
    assert dust.says != fan.says and dust.key == fan.key
