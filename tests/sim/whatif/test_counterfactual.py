"""What a changed term does to people, in small markets whose outcome is known."""

import pytest

from parkade.core.state import events
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.sim.whatif.figures import RunFigures, WhatIfReport
from tests.core.kernel.story import Parkade
from tests.sim.whatif.journals import disk_of, journal_of, rivals, what_if


@pytest.fixture(scope="module", name="rivals")
def rivals_journal() -> list[events.AnyEvent]:
    return rivals()


@pytest.fixture(scope="module")
def owner() -> list[events.AnyEvent]:
    """Two nodes of an owner that lends both; a guest is on one of them when it claims them."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.lend("acme", 8)
    parkade.org("lab")
    parkade.bid("lab", 20, nodes=2)
    parkade.run(900)
    parkade.claim("acme", 1)
    parkade.run(900)
    return parkade.journal


def changed(report: WhatIfReport) -> RunFigures:
    return report.runs[2]


def test_the_same_terms_give_the_same_digest_and_the_same_figures(
    rivals: list[events.AnyEvent],
) -> None:
    report = what_if(rivals)
    recorded, same, other = report.runs
    assert (report.digest, report.facts) == (report.digest_again, {})
    assert same.notices == recorded.notices == {"outbid": 1}
    assert (same.started, same.succeeded) == (recorded.started, recorded.succeeded) == (2, 2)
    assert same.paid == pytest.approx(recorded.paid, rel=0.02)
    assert other.paid == same.paid and report.workloads == ()


def test_with_a_node_more_the_cheaper_bid_stays(rivals: list[events.AnyEvent]) -> None:
    report = what_if(rivals, "nodes=+1")
    assert changed(report).notices == {}
    assert changed(report).started == 2
    lab = next(it for it in report.orgs if it.org == "lab")
    assert lab.notices == (1, 0)


def test_a_bid_below_a_higher_floor_no_longer_wins(rivals: list[events.AnyEvent]) -> None:
    report = what_if(rivals, "public_floor=15")
    assert (report.won, report.lost) == (0, 1)
    lost = next(it for it in report.workloads if it.org == "lab")
    assert lost.wait_s[1] is None and lost.gpu_hours[1] == 0
    assert changed(report).price == pytest.approx(15, rel=0.01)


def test_without_its_credit_a_winner_pays_all_of_its_rivals_limit(
    rivals: list[events.AnyEvent],
) -> None:
    """A running bid counts higher than its limit, so less of it is needed to win."""
    report = what_if(rivals, "credit=0/1")
    assert changed(report).notices == {"outbid": 1}
    rich = next(it for it in report.orgs if it.org == "rich")
    assert rich.paid[1] > rich.paid[0]


def test_an_owner_that_keeps_a_node_waits_less(owner: list[events.AnyEvent]) -> None:
    same = what_if(owner).runs[1]
    kept = changed(what_if(owner, "keep=1"))
    assert same.claims == kept.claims == 1
    assert same.claim_max_s > 0
    assert kept.claim_max_s < same.claim_max_s


def test_a_higher_fee_moves_money_and_no_work(owner: list[events.AnyEvent]) -> None:
    report = what_if(owner, "fee=1/2", "floor=4")
    same, other = report.runs[1:]
    assert other.started == same.started and other.notices == same.notices
    assert other.fees > same.fees


def test_a_story_with_every_trouble_is_played_under_other_terms() -> None:
    journal = journal_of(disk_of(1))
    report = what_if(journal, "notice=90s", "nodes=-1")
    assert report.digest == report.digest_again
    assert changed(report).workloads > 0
    assert all(count > 0 for count in report.skipped.values())


def test_the_same_question_has_the_same_answer() -> None:
    journal = journal_of(disk_of(3))
    assert what_if(journal, "fee=1/4") == what_if(journal, "fee=1/4")


def test_elastic_work_is_done_sooner_on_more_nodes_and_its_growth_follows_the_terms() -> None:
    """On 3 nodes it has 2 for an hour beside a rival and 3 for half of one: 210 node-minutes. With
    nodes for both it has 3 at once, and is done after 70 minutes in place of 90."""
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0, regrow_us=600 * 1_000_000)
    for org in ("lab", "rich"):
        parkade.org(org)
    rival = parkade.bid("rich", 20)
    parkade.run(60)
    elastic = parkade.bid("lab", 9, nodes=1, most_nodes=3)
    parkade.run(3600)
    assert len(parkade.nodes_of(elastic)) == 2
    parkade.ended(rival)
    parkade.run(1800)
    assert len(parkade.nodes_of(elastic)) == 3
    parkade.ended(elastic)
    parkade.run(60)
    recorded, same, more = what_if(parkade.journal, "nodes=+1").runs
    hours = [round(it.gpu_hours["spot"], 1) for it in (recorded, same, more)]
    assert hours[0] == hours[1], "the model grows it as the journal did"
    assert hours[2] == hours[1], "as much work is done, on more nodes at a time"
    assert (same.notices, more.notices) == ({"resized": 1}, {})


def test_what_runs_at_the_end_is_counted_with_money_and_hours_of_the_same_time() -> None:
    """One guest at the floor, for 20 minutes of its first hour: nothing is posted yet."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("lab")
    parkade.bid("lab", 9)
    parkade.run(1200)
    parkade.org("late")
    floor = parkade.world.records.markets["pool"].terms.public_floor_micros / MICROS
    for run in what_if(parkade.journal).runs:
        hours = run.gpu_hours["spot"]
        assert hours == pytest.approx(2 / 3, rel=0.05), "two GPUs for 20 minutes"
        assert run.price == pytest.approx(floor, rel=0.001)
        assert run.paid == pytest.approx(floor * hours, rel=0.001)
        assert run.fees == pytest.approx(run.paid, rel=0.001)


def test_hours_on_a_reservation_make_no_sold_hour_cheaper() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 1)
    parkade.on_reservation("acme", "acme")
    parkade.org("lab")
    parkade.bid("lab", 9)
    parkade.run(4000)
    floor = parkade.world.records.markets["pool"].terms.public_floor_micros / MICROS
    recorded = what_if(parkade.journal).runs[0]
    assert recorded.gpu_hours["reservation"] > 0
    assert recorded.price == pytest.approx(floor, rel=0.001)


def test_owners_waits_are_those_of_work_on_reservations_too() -> None:
    """A guest sits on both nodes; the owner submits work, and waits until it has left."""
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.reserve("acme", 2)
    parkade.lend("acme", 8)
    parkade.org("lab")
    parkade.bid("lab", 20, nodes=2)
    parkade.run(900)
    parkade.on_reservation("acme", "acme")
    parkade.run(900)
    waits = parkade.world.records.reservations["acme"].waits
    recorded = what_if(parkade.journal).runs[0]
    assert waits.times == 1 and recorded.claims == 0
    assert recorded.owner_waits == waits.times
    assert recorded.owner_wait_max_s == waits.longest_us / SECOND_US > 0
    assert recorded.owner_wait_total_s == waits.total_us / SECOND_US
