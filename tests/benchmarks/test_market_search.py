"""That the search for broken promises drives whole markets, and tells what it looks for."""

import pytest

from benchmarks.market_days_scene import MINUTE, Scene
from benchmarks.market_search import Windows, main, search
from parkade.core.state import events, lines
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.workload import Stop


def test_a_market_is_the_same_each_time_and_holds_every_invariant() -> None:
    found = [search(seed, check_every=5) for seed in (5, 5, 437)]
    assert found[0] == found[1]
    assert found[0].windows and found[0].owners and found[2].windows


def test_the_program_counts_what_it_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--markets", "1", "--first", "5", "--every", "50"]) in (0, 1)
    assert "1 markets" in capsys.readouterr().out


@pytest.mark.parametrize(("cause", "told"), [(Cause.RECLAIMED, 1), (Cause.EXPIRED, 0)])
def test_a_window_that_loses_its_seats_is_told_and_one_that_is_over_is_not(
    cause: Cause, told: int
) -> None:
    scene = Scene({"a": 2}, orgs=("buyer",))
    name = scene.window("buyer")
    scene.until(5 * MINUTE)
    windows = Windows()
    stop = Stop(noticed_us=0, deadline_us=0, kill_us=0, cause=cause)
    leaving = lines.Leaving(
        demand=lines.WorkloadDemand(workload=name),
        stop=stop,
        phase=Phase.PREEMPTING,
        why=cause.value,
        price_to_win_micros=None,
    )
    cleared = events.Cleared(
        at_us=scene.day.now_us,
        market="market",
        left=(leaving,),
        won=(),
        repriced=(),
        waiting=(),
        ladder=(),
    )
    windows.read(cleared, scene.day.world)
    assert len(windows.breaches) == told
