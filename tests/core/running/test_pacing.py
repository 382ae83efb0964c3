"""How much an org begins: open workloads, submissions and starts in a minute."""

import pytest

from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason
from parkade.core.workloads.life import Phase
from tests.core.kernel.story import Parkade


def bounded(
    *, most_open: int | None = None, submits: int | None = None, starts: int | None = None
) -> Parkade:
    """Eight nodes; the org `lab` has these bounds."""
    parkade = Parkade(fabrics={"a": 8}, buffer_nodes=0, public_floor_micros=MICROS)
    parkade.org("lab")
    command = commands.SetOrgBounds(
        by=None,
        org="lab",
        open_workloads=most_open,
        submits_per_minute=submits,
        starts_per_minute=starts,
    )
    parkade.do(command)
    return parkade


def submission(parkade: Parkade, org: str = "lab") -> commands.Submit:
    return commands.Submit(
        by=None, org=org, market=None, spec=parkade.spec(limit=0.5), is_held=False
    )


def seated(parkade: Parkade, *names: str) -> list[str]:
    return [name for name in names if parkade.nodes_of(name)]


def test_an_org_has_no_more_open_workloads_than_it_may() -> None:
    parkade = bounded(most_open=2)
    first = parkade.bid("lab", 0.5)
    parkade.bid("lab", 0.5)
    refusal = parkade.refused(submission(parkade))
    assert refusal.reason is Reason.TOO_MANY and "2 open workloads" in refusal.detail
    assert parkade.do(submission(parkade, parkade.org("other")))
    parkade.do(commands.Cancel(by=None, workload=first, now=True))
    parkade.do(submission(parkade))
    assert parkade.refused(commands.Resubmit(by=None, workload=first)).reason is Reason.TOO_MANY


def test_a_minute_has_so_many_submissions_and_the_next_as_many_again() -> None:
    parkade = bounded(submits=2)
    parkade.tick(60 - parkade.now_us // 1_000_000 % 60 + 5)
    for _ in range(2):
        parkade.do(submission(parkade))
    refusal = parkade.refused(submission(parkade))
    assert refusal.reason is Reason.TOO_MANY and "begins in 55 s" in refusal.detail
    parkade.tick(55)
    assert parkade.do(submission(parkade))


def test_an_array_is_one_submission_and_a_retry_another() -> None:
    parkade = bounded(submits=2)
    parkade.tick(60 - parkade.now_us // 1_000_000 % 60)
    array = parkade.bid("lab", 5, array="0-3")
    parkade.clear()
    parkade.start_all()
    again = commands.Retry(by=None, workload=array, members=None)
    parkade.ended(f"{array}_0", code=3)
    parkade.do(again)
    parkade.ended(f"{array}_1", code=3)
    assert parkade.refused(again).reason is Reason.TOO_MANY
    parkade.tick(60)
    assert parkade.do(again)


def test_the_example_of_the_module() -> None:
    parkade = bounded(starts=2)
    parkade.tick(60 - parkade.now_us // 1_000_000 % 60 + 5)
    mine = [parkade.bid("lab", limit) for limit in (5, 6, 7, 8)]
    parkade.clear()
    assert seated(parkade, *mine) == mine[2:]
    assert {parkade.workload(it).why for it in mine[:2]} == {"org_starts"}
    others = parkade.bid("other", 2)
    parkade.tick(30)
    parkade.clear()
    assert seated(parkade, *mine, others) == [*mine[2:], others]
    parkade.tick(30)
    parkade.clear()
    assert seated(parkade, *mine) == mine


def test_bids_that_find_no_room_do_not_use_up_starts() -> None:
    """The best bids of the org are gangs that no fabric holds now; a small one starts."""
    parkade = bounded(starts=1)
    parkade.on_demand("other", nodes=2)
    parkade.run(30)
    gang = parkade.bid("lab", 9, nodes=8)
    small = parkade.bid("lab", 2)
    parkade.clear()
    assert seated(parkade, gang, small) == [small]


def test_what_runs_goes_on_whatever_the_bound() -> None:
    parkade = bounded()
    job = parkade.bid("lab", 5)
    parkade.run(60)
    parkade.do(
        commands.SetOrgBounds(
            by=None, org="lab", open_workloads=0, submits_per_minute=0, starts_per_minute=0
        )
    )
    parkade.run(120)
    assert parkade.phase(job) is Phase.RUNNING
    waits = parkade.refused(submission(parkade))
    assert waits.reason is Reason.TOO_MANY


def test_a_clearing_repeated_on_its_own_outcome_changes_nothing() -> None:
    parkade = bounded(starts=1)
    for limit in (5, 6, 7):
        parkade.bid("lab", limit)
    clearing = commands.RunClearing(by=None, market="pool")
    for event in decide(parkade.world, clearing, parkade.now_us):  # type: ignore[union-attr]
        evolve(parkade.world, event)
    again = decide(parkade.world, clearing, parkade.now_us)
    assert isinstance(again, tuple)
    assert not any(isinstance(it, events.Cleared) and (it.won or it.left) for it in again)


@pytest.mark.parametrize("field", ["most_open", "submits", "starts"])
@pytest.mark.parametrize("value", [-1, 1_000_001])
def test_a_bound_is_a_count_of_a_million_at_most(field: str, value: int) -> None:
    parkade = bounded()
    names = {"most_open": "open_workloads", "submits": "submits_per_minute"}
    given = {
        "open_workloads": None,
        "submits_per_minute": None,
        "starts_per_minute": None,
        names.get(field, "starts_per_minute"): value,
    }
    assert parkade.refused(commands.SetOrgBounds(by=None, org="lab", **given)).reason == "invalid"


def test_a_bid_that_had_no_means_beside_the_others_does_not_start_in_their_place() -> None:
    """The cap has GPUs for one. The better bid may not start; the other one not either."""
    parkade = bounded(starts=0)
    parkade.do(commands.SetOrgCap(by=None, org="lab", cap_micros=None, most_gpus=2))
    bids = [parkade.bid("lab", limit) for limit in (5, 6)]
    parkade.clear()
    assert seated(parkade, *bids) == []
    assert {parkade.workload(it).why for it in bids} == {"org_starts"}


def test_room_that_a_bounded_org_leaves_goes_to_no_other_beyond_its_own_bound() -> None:
    """lab would have all nodes; with its bound another org has the rest, which is bounded too."""
    parkade = bounded(starts=1)
    parkade.org("other")
    few = commands.SetOrgBounds(
        by=None, org="other", open_workloads=None, submits_per_minute=None, starts_per_minute=2
    )
    parkade.do(few)
    mine = [parkade.bid("lab", 9) for _ in range(8)]
    others = [parkade.bid("other", 5) for _ in range(4)]
    parkade.clear()
    assert (len(seated(parkade, *mine)), len(seated(parkade, *others))) == (1, 2)
