"""What hostile tests once found in the market, driven like a day: what each attack gives now."""

import pytest

from benchmarks import market_days_stories as stories
from benchmarks.market_days_scene import HOUR, MINUTE

pytestmark = pytest.mark.system


def test_a_gang_with_a_cordoned_node_leaves_the_others_to_a_better_bid_in_time() -> None:
    minutes = stories.cordoned_gang()
    assert minutes is not None
    assert minutes * MINUTE <= 180


def test_an_owner_has_the_open_nodes_of_a_gang_with_a_cordoned_one_in_time() -> None:
    minutes = stories.owner_beside_a_cordoned_node()
    assert minutes is not None
    assert minutes * MINUTE <= 180


def test_a_lower_floor_elsewhere_stops_no_guest_that_is_alone_in_its_fabric() -> None:
    assert stories.lower_floor_elsewhere() == 0


def test_an_owner_that_keeps_a_clean_node_has_it_with_the_next_clearing() -> None:
    seconds = stories.clean_seat_for_an_owner()
    assert seconds is not None
    assert seconds <= 30


def test_an_owners_overflow_stops_no_on_demand_while_another_fabric_has_spot() -> None:
    assert stories.overflow_beside_on_demand() == 0


def test_one_gpu_on_each_node_takes_no_revenue_from_a_gang_of_whole_nodes() -> None:
    """64 GPUs pay 7 / 1.05 before and after it: 426.67 an hour."""
    assert stories.one_gpu_on_each_node() == pytest.approx(64 * 7 / 1.05, abs=0.01)


def test_a_job_of_one_gpu_alone_pays_the_floor() -> None:
    assert stories.one_gpu_alone() == 1.0


def test_orgs_that_bid_one_price_have_equal_shares_though_one_came_first() -> None:
    assert stories.equal_price() >= 0.95


def test_a_gang_behind_singles_that_bid_less_starts_once_it_has_waited() -> None:
    """`assemble` is ten minutes, the clearing interval half of one."""
    hours, _ = stories.gang_behind_singles(hours=2)
    assert hours is not None
    assert hours * HOUR <= 11 * MINUTE
