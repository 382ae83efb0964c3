"""In which part of the time that is known a node was to be had: the rest counts for nothing."""

from decimal import Decimal

from parkade.console.history import OFF_S, Sample, known_prices
from parkade.console.routes.submit import how_often


def sample(at_s: int, **prices: int | None) -> Sample:
    return Sample(
        at_s=at_s, owner=0, lent=0, spot=0, on_demand=0, idle=0, out=0, orgs={}, prices=dict(prices)
    )


def test_time_before_the_first_clearing_is_not_known() -> None:
    samples = [sample(0), sample(60), sample(120, lab=8_000_000), sample(180, lab=None)]
    assert known_prices(samples, "lab") == [(8_000_000, 60)]
    says = how_often(samples, "lab", Decimal(9))
    assert (
        says
        == "one node was to be had for 9.00 in 100 % of the 1 min that is known of the last day"
    )
    assert how_often(samples, "other", Decimal(9)) is None


def test_time_in_which_the_server_was_off_is_not_known() -> None:
    samples = [
        sample(0, lab=8_000_000),
        sample(60, lab=8_000_000),
        sample(60 + OFF_S + 1, lab=10_000_000),
        sample(120 + OFF_S + 1, lab=10_000_000),
    ]
    assert known_prices(samples, "lab") == [(8_000_000, 60), (10_000_000, 60)]
    says = how_often(samples, "lab", Decimal(9))
    assert says is not None and "50 % of the 2 min that is known" in says


def test_a_time_in_which_no_node_was_to_be_had_counts() -> None:
    samples = [sample(0, lab=1), sample(60, lab=None), sample(120, lab=1)]
    assert known_prices(samples, "lab") == [(1, 60), (None, 60)]
