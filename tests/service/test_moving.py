"""A data folder that was moved while nothing ran in it is the same marketplace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.marketplace import POOL
from tests.service.served import Served, serving
from tests.service.test_agents import phase_of, submit
from tests.waits import until

pytestmark = pytest.mark.system

SAVES = """
if [ -n "$PARKADE_RESUME_FROM" ]; then cat "$PARKADE_RESUME_FROM"; exit 0; fi
cd "$PARKADE_CHECKPOINT_DIR"
echo from before the move > step-7
printf '{"step": 7, "at": "%s", "path": "step-7"}' $(date -u +%Y-%m-%dT%H:%M:%S.%6NZ) > .new
mv .new .parkade.json
echo saved
while :; do sleep 0.1; done
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as made:
        made.ask("POST", "/pools", POOL)
        yield made
        made.stop()


def drain(served: Served, *, is_drained: bool) -> None:
    for node in ("n1", "n2", "n3"):
        path = f"/nodes/{node}/{'drain' if is_drained else 'undrain'}"
        served.ask("POST", path, {"reason": "the move"} if is_drained else None)


def test_work_goes_on_from_its_checkpoint_and_old_output_is_read_in_a_moved_folder(
    served: Served,
) -> None:
    workload = submit(served, SAVES)
    until(lambda: phase_of(served, workload) == "running")
    until(lambda: served.ask("GET", f"/workloads/{workload}")["checkpoint_step"] == 7)
    drain(served, is_drained=True)
    until(lambda: phase_of(served, workload) == "queued")
    served.stop()

    moved = served.folder / "elsewhere" / "moved"
    moved.parent.mkdir()
    served.data.rename(moved)
    served.data = moved
    served.start()
    first = served.ask("GET", f"/workloads/{workload}/logs?attempt={workload}.1")
    assert first == "saved\n"
    drain(served, is_drained=False)
    until(lambda: phase_of(served, workload) == "succeeded")
    assert served.ask("GET", f"/workloads/{workload}/logs") == "from before the move\n"
    assert not (served.folder / "data").exists(), "nothing was written where it lay"
