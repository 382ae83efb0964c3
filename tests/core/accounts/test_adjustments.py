"""Money by hand: paid out only where nothing has a claim on it, given back from what there is."""

from parkade.core.ledger.accounts import EXTERNAL, OPERATOR, TransferKind, org_account
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from tests.core.kernel.story import Parkade


def adjust(org: str, micros: int, *, is_refund: bool, reason: str = "why") -> commands.Adjust:
    return commands.Adjust(by=None, org=org, micros=micros, is_refund=is_refund, reason=reason)


def test_an_org_is_paid_to_the_last_micro_unit_and_no_further() -> None:
    parkade = Parkade()
    parkade.org("lab", deposit=5)
    refused = parkade.refused(adjust("lab", 5 * MICROS + 1, is_refund=False))
    assert refused.reason is Reason.INSUFFICIENT_FUNDS
    assert "lab has 5.00 that nothing has a claim on; 0.000001 is missing" in refused.detail
    parkade.do(adjust("lab", 5 * MICROS, is_refund=False))
    (moved,) = [it for it in parkade.journal[-1:] if isinstance(it, events.MoneyMoved)]
    assert moved.reason == "why" and moved.transfers[0].kind is TransferKind.DISBURSEMENT
    assert parkade.world.ledger.balance(org_account("lab")) == 0
    assert parkade.world.ledger.balance(EXTERNAL) == 0


def test_what_a_running_bid_may_still_cost_is_not_paid_out() -> None:
    parkade = Parkade()
    parkade.org("lab", deposit=10)
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    parkade.tick(60)
    assert "is missing" in parkade.refused(adjust("lab", 10 * MICROS, is_refund=False)).detail
    parkade.do(adjust("lab", 5 * MICROS, is_refund=False))
    parkade.run(3600)
    assert parkade.world.ledger.balance(org_account("lab")) >= 0


def test_the_operator_gives_back_what_it_has_earned_and_no_more() -> None:
    parkade = Parkade()
    parkade.org("lab")
    assert (
        "the operator's account has 0.00"
        in parkade.refused(adjust("lab", 1, is_refund=True)).detail
    )
    parkade.reserve("acme", 1, hours=3)
    parkade.tick(4 * 3600)
    earned = parkade.world.ledger.balance(OPERATOR)
    assert earned > 0
    before = parkade.world.ledger.balance(org_account("lab"))
    assert parkade.refused(adjust("lab", earned + 1, is_refund=True)).detail
    parkade.do(adjust("lab", earned, is_refund=True))
    assert parkade.world.ledger.balance(org_account("lab")) == before + earned
    assert parkade.world.ledger.balance(OPERATOR) == 0


def test_a_reason_is_wanted_and_bounded() -> None:
    parkade = Parkade()
    parkade.org("lab", deposit=5)
    for reason in ("", "x" * 501):
        refused = parkade.refused(adjust("lab", 1, is_refund=False, reason=reason))
        assert refused.field == "reason"
