"""That simulated days are the same for every rule, and that their auditor finds what it looks for.

What the days measure is nobody's test: that is the benchmark's.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.market_days import main, simulate
from benchmarks.market_days_figures import Result, figures, joined, read_result, table
from benchmarks.market_days_scene import MINUTE, Scene
from parkade.core.fleet.node import Cordon, Health
from parkade.core.fleet.seat import Seat
from parkade.core.reservations.reservation import Claim
from parkade.core.state import events, lines
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.workload import Promise
from parkade.sim.auditor.owners import OwnersAuditor
from parkade.sim.dynamics.demand import Mix, draw_demand
from parkade.sim.dynamics.measure import Measures
from tests import builders

pytestmark = pytest.mark.system

KEPT = Path(__file__).with_name("kept") / "market-days-1.json"
TIMES = ("cpu_s", "clearing_cpu_s", "clearing_cpu")


def counted(day: Measures) -> dict[str, Any]:
    """Everything but how long it took."""
    found: dict[str, Any] = msgspec.to_builtins(day)
    return {name: value for name, value in found.items() if name not in TIMES}


def test_a_day_is_the_same_each_time_and_every_invariant_holds_after_every_event() -> None:
    day = simulate(1, 1.0, Mix(), check_every=1)
    assert counted(simulate(1, 1.0, Mix())) == counted(day)
    assert day.accepted > 20 and day.used_gpu_hours > 0


def test_a_shorter_day_is_the_beginning_of_a_longer_one() -> None:
    short, long = (draw_demand(3, hours * HOUR_US, Mix()) for hours in (4, 8))
    ends_us = 4 * HOUR_US
    assert short.jobs and short.claims
    assert short.jobs == tuple(job for job in long.jobs if job.at_us < ends_us)
    assert short.claims == tuple(claim for claim in long.claims if claim.at_us < ends_us)
    assert short.outages == tuple(outage for outage in long.outages if outage.at_us < ends_us)


def test_what_owners_ask_for_does_not_depend_on_the_mix_of_jobs() -> None:
    one, other = (draw_demand(3, 5 * HOUR_US, Mix(sub_node_share=share)) for share in (0.0, 0.8))
    assert one.claims == other.claims and one.outages == other.outages
    assert [job for job in one.jobs if job.limit_micros is None] == [
        job for job in other.jobs if job.limit_micros is None
    ]
    assert {job.gpus for job in one.jobs} == {8} != {job.gpus for job in other.jobs}


def test_kept_figures_are_read_and_stand_beside_new_ones(tmp_path: Path) -> None:
    kept = read_result(KEPT)
    assert kept.days[0].accepted > 0
    again = tmp_path / "again.json"
    again.write_bytes(msgspec.json.encode(kept))
    assert read_result(again) == kept
    text = table(kept, kept)
    assert "the days" in text and "x 1.00" in text
    for figure in figures(kept.days):
        assert figure.name.strip() in text


def test_the_figures_of_the_first_version_are_kept() -> None:
    before = read_result(Path(__file__).parents[2] / "benchmarks" / "market_days_before.json")
    assert len(before.days) == 4 and all(day.hours == 24 for day in before.days)
    assert not before.is_changed and before.stories


@pytest.mark.parametrize("text", ["", "{}", '{"benchmark": "other"}'])
def test_a_file_that_keeps_no_figures_is_told_with_its_name(text: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(text)
    with pytest.raises(SystemExit, match=r"wrong\.json keeps no figures"):
        read_result(wrong)


def test_figures_of_a_later_version_are_not_read_as_ours(tmp_path: Path) -> None:
    later = tmp_path / "later.json"
    later.write_text(json.dumps(json.loads(KEPT.read_text()) | {"version": 2}))
    with pytest.raises(SystemExit, match="run the benchmark of the version that wrote it"):
        read_result(later)


def test_days_that_were_run_apart_are_joined_and_compared_with_the_same_days() -> None:
    one = read_result(KEPT)
    day = one.days[0]
    other = msgspec.structs.replace(
        one, days=(msgspec.structs.replace(day, seed=2),), stories={"a story": 3.0}
    )
    both = joined([other, one])
    assert [it.seed for it in both.days] == [1, 2] and both.stories == {"a story": 3.0}
    accepted = next(it for it in table(both, one).splitlines() if it.startswith("clearings"))
    assert accepted.split()[1:3] == [f"{day.clearings}"] * 2
    with pytest.raises(SystemExit, match="have a day twice"):
        joined([one, one])


def test_the_program_names_what_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="name the folder of a checkout"):
        main(["--short", "--hours", "0.1", "--no-stories", "--quiet", "--code", str(tmp_path)])


def test_another_checkout_runs_in_a_process_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, kept = Path(__file__).parents[2], tmp_path / "kept.json"
    words = ["--short", "--hours", "0.1", "--no-stories", "--code", str(root)]
    assert main([*words, "--json", str(kept)]) == 0
    assert "owners' waits over the bound" in capsys.readouterr().out
    assert isinstance(read_result(kept), Result)


def test_a_scene_launches_ends_and_bills() -> None:
    scene = Scene({"a": 2}, orgs=("guest",))
    job = scene.bid("guest", 3, work=10 * MINUTE)
    scene.until(5 * MINUTE)
    assert scene.minutes_from(job, 0) is not None
    assert scene.revenue_per_hour() == 8.0
    scene.until(20 * MINUTE)
    assert scene.day.world.records.workloads[job].phase.is_ended
    assert scene.gpu_hours_by_org()["guest"] == pytest.approx(8 * 10 / 60, abs=0.02)


class Story:
    """A day's events as an auditor of owners hears them: a market of two nodes, one claim."""

    def __init__(self) -> None:
        self.auditor = OwnersAuditor()
        self.now_us = 0
        market = builders.market("market", terms=builders.terms(turnaround_us=5 * SECOND_US))
        self.hear(events.PoolOpened, pool=builders.pool("pool"), market=market, nodes=())
        for node in ("a1", "a2"):
            self.hear(events.NodeHealthSet, node=node, health=Health.HEALTHY, reason="")
        claim = Claim(
            claim="c1",
            reservation="r",
            org="own",
            nodes=1,
            claimed_us=0,
            seats=(),
            promised_us=None,
            seated_us=None,
            why="next_clearing",
        )
        self.hear(events.Claimed, claim=claim)

    def hear(self, kind: Any, **fields: Any) -> None:
        self.auditor.read(kind(at_us=self.now_us, **fields))

    def promise(self, node: str) -> None:
        seats = (Seat(node=node, gpus=4),)
        promise = Promise(seats=seats, promised_us=self.now_us, displaces=False, busy=1, rates=())
        won = lines.Won(demand=lines.ClaimDemand(claim="c1"), promise=promise, price_set_by=None)
        self.hear(
            events.Cleared,
            market="market",
            left=(),
            won=(won,),
            repriced=(),
            waiting=(),
            ladder=(),
        )

    def wait(self, seconds: int) -> None:
        self.now_us += seconds * SECOND_US


def test_the_auditor_accepts_a_wait_of_the_bound_and_not_one_second_more() -> None:
    for seconds, over in ((40, 0), (41, 1)):
        story = Story()
        story.promise("a1")
        story.wait(seconds)
        story.hear(events.ClaimSeated, claim="c1")
        audit = story.auditor.close(story.now_us)
        assert (audit.seated, audit.over_bound) == (1, over)
        assert len(audit.breaches) == over


def test_the_auditor_counts_a_wait_that_has_no_end() -> None:
    story = Story()
    story.promise("a1")
    story.wait(100)
    assert story.auditor.close(story.now_us).over_bound == 1


def test_the_auditor_counts_the_wait_from_the_last_seat_chosen() -> None:
    story = Story()
    story.promise("a1")
    story.wait(30)
    story.hear(events.NodeHealthSet, node="a1", health=Health.SUSPECT, reason="")
    story.promise("a2")
    story.wait(30)
    story.promise("a2")
    story.wait(10)
    story.hear(events.ClaimSeated, claim="c1")
    audit = story.auditor.close(story.now_us)
    assert (audit.over_bound, audit.rechosen, audit.promised_well) == (0, 1, 0)


@pytest.mark.parametrize("is_held", [False, True])
def test_the_auditor_tells_a_seat_that_was_taken_from_a_node_that_was_well(is_held: bool) -> None:
    story = Story()
    story.promise("a1")
    if is_held:
        story.hear(events.ClaimSeated, claim="c1")
    story.promise("a2")
    audit = story.auditor.close(story.now_us)
    assert (audit.held_well, audit.promised_well) == (is_held, not is_held)
    assert "a1" in audit.breaches[0]


def test_the_auditor_takes_a_cordoned_node_for_one_that_left_play() -> None:
    story = Story()
    story.promise("a1")
    cordon = Cordon(holder="operator", reason="test", at_us=0)
    story.hear(events.NodeCordoned, node="a1", cordon=cordon)
    story.promise("a2")
    assert story.auditor.close(story.now_us).promised_well == 0


def test_the_auditor_tells_how_many_owners_were_promised_nothing_and_why() -> None:
    story = Story()
    story.wait(300)
    assert story.auditor.close(story.now_us).kept_waiting == {"next_clearing": 1}
