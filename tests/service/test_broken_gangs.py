"""Gangs that lose a rank, through a whole server: the others save, and the next attempt goes on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders
from tests.crash.marketplace import POOL
from tests.engines import standins
from tests.service.served import Served, serving
from tests.service.test_agents import phase_of, submit
from tests.waits import until

pytestmark = pytest.mark.system

PATIENT = builders.terms_body(
    clearing_interval="300ms", backoff="0s", notice="10m", heal_notice="5m"
)
SAVES = standins.python(
    """
    asked = []
    def handle(number, frame):
        told(number)
        asked.append(number)
    signal.signal(signal.SIGTERM, handle)
    up()
    while not (asked and os.path.exists("save")):
        time.sleep(0.02)
    report()
    sys.exit(85)
    """
)
GANG = f"""
if [ -n "$PARKADE_RESUME_STEP" ]; then echo from step $PARKADE_RESUME_STEP; exit 0; fi
r=$PARKADE_NODE_RANK
echo $$ $PARKADE_CHECKPOINT_DIR > .rank.$r && mv .rank.$r rank.$r
if [ $PARKADE_NODE_RANK = 1 ]; then exec sleep 600; fi
(until cp $PARKADE_NOTICE_FILE .notice 2>/dev/null; do sleep 0.02; done; mv .notice notice) &
{SAVES}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as made:
        made.ask("POST", "/pools", {**POOL, "terms": PATIENT})
        yield made
        made.stop()


def lose_a_rank(served: Served) -> str:
    """A gang of two nodes whose rank 1 was killed, once rank 0 is asked to save."""
    workload = submit(served, GANG, nodes=2, gpus=4, retry={"failures": 1})
    rank = served.folder / "rank.1"
    until(rank.exists)
    process, checkpoints = rank.read_text().split()
    until(Path(checkpoints, "up.0").exists)
    os.kill(int(process), signal.SIGKILL)
    until(Path(checkpoints, "told.0").exists)
    until((served.folder / "notice").exists)
    assert '"cause":"healed"' in (served.folder / "notice").read_text().replace(" ", "")
    return workload


def end_of(served: Served, workload: str) -> tuple[int, int, int]:
    until(lambda: phase_of(served, workload) == "succeeded")
    shown = served.ask("GET", f"/workloads/{workload}")
    assert served.ask("GET", f"/workloads/{workload}/logs") == "from step 1\n"
    return shown["attempts"], shown["failures"], shown["preemptions"]


def test_ranks_that_survive_another_save_and_the_next_attempt_goes_on_from_that(
    served: Served,
) -> None:
    workload = lose_a_rank(served)
    (served.folder / "save").touch()
    assert end_of(served, workload) == (2, 1, 0)


def test_a_rank_that_dies_before_its_node_is_known_to_be_broken_is_no_failure(
    served: Served,
) -> None:
    workload = lose_a_rank(served)
    shown = served.ask("GET", f"/workloads/{workload}")
    broken = shown["attempt"]["seats"][1]["node"]
    served.ask("POST", f"/nodes/{broken}/fail", {"reason": "Xid 79"})
    (served.folder / "save").touch()
    assert end_of(served, workload) == (2, 0, 1)
