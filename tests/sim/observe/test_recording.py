"""A real Slurm is recorded anew, and its policy replayed within the bounds."""

from pathlib import Path

import pytest

from parkade.sim.observe.observing import observe
from tests.sim.observe.cluster import missing
from tests.sim.observe.record import record
from tests.sim.observe.test_observing import ENTITLEMENTS, asked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]


@pytest.mark.parametrize("name", ["fifo", "backfill"])
def test_a_new_recording_is_one_that_replays_could_have_made(name: str, tmp_path: Path) -> None:
    """The same jobs on the same cluster go another way each time, and so do the replays: within
    their span, and the bounds beside it, lies what was recorded."""
    record(name, tmp_path)
    policy = observe(asked(tmp_path, name, ENTITLEMENTS[name]), lambda *_: None).policy
    assert ("without backfill" in policy.policy) is (name == "fifo")
    assert policy.utilisations is not None and policy.median_waits_s is not None
    least, most = policy.utilisations
    assert least - 0.02 <= policy.utilisation <= most + 0.02, policy
    shortest_s, longest_s = policy.median_waits_s
    assert 0.8 * shortest_s <= policy.waits.p50_s <= 1.2 * longest_s, policy
