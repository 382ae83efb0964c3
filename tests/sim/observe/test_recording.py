"""A real Slurm is recorded anew, and its policy replayed within the bounds."""

from pathlib import Path

import pytest

from parkade.sim.observe.observing import observe
from tests.sim.observe.cluster import missing
from tests.sim.observe.record import record
from tests.sim.observe.test_observing import CLOSE_S, ENTITLEMENTS, asked, is_near

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]


@pytest.mark.parametrize("name", ["fifo", "backfill"])
def test_a_new_recording_is_replayed_within_the_bounds(name: str, tmp_path: Path) -> None:
    record(name, tmp_path)
    found = observe(asked(tmp_path, name, ENTITLEMENTS[name]), lambda *_: None)
    assert ("without backfill" in found.policy.policy) is (name == "fifo")
    assert is_near(found, close_s=CLOSE_S), found.policy
