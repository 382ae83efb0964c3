"""Checkpoints: whole or absent, whenever the process dies and whatever the disk returns."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.factoring import checkpoint
from examples.factoring.archive import Unreadable
from examples.factoring.optimizer import State, fresh_state
from tests.examples.programs import ROOT, clean_environment
from tests.waits import PATIENCE_S

SETTINGS = '{"seed": 1}'
WHOLE = checkpoint.encode(fresh_state(1)._replace(step=4), SETTINGS)

# Children save step 2 over step 1 and die at the n-th thing they ask of the file system. (An
# audit hook hears of opens, renames and removals just before they happen.)
DYING_SAVES = """
import itertools, os, signal, sys
from pathlib import Path
from examples.factoring import checkpoint
from examples.factoring.optimizer import fresh_state

folder, state = Path(sys.argv[1]), fresh_state(1)

def die_at(instant):
    asked = itertools.count(1)
    def hook(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.listdir", "os.scandir"):
            if next(asked) == instant:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

for instant in range(1, 40):
    own = folder / str(instant)
    checkpoint.save(own, state._replace(step=1), "settings")
    child = os.fork()
    if child == 0:
        die_at(instant)
        checkpoint.save(own, state._replace(step=2), "settings")
        os._exit(0)
    died = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    found, troubles = checkpoint.newest(own, "settings")
    reported = checkpoint.json.loads((own / checkpoint.REPORT).read_bytes())["step"]
    print(instant, died, found.step, reported, len(troubles))
    if not died:
        break
"""


def test_a_process_killed_at_any_instant_of_a_save_leaves_a_whole_checkpoint(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING_SAVES, str(tmp_path)],
        cwd=ROOT,
        env=clean_environment() | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) > 6
    assert lines[-1][1] == "False", "the last child was to live"
    for _, _, found, reported, troubles in lines:
        assert reported <= found, "reported before it was finished"
        assert found in ("1", "2")
        assert troubles == "0"
    assert {line[2] for line in lines} == {"1", "2"}


@given(st.integers(0, len(WHOLE) - 1))
def test_no_part_of_a_checkpoint_passes_for_one(size: int) -> None:
    with pytest.raises(Unreadable):
        checkpoint.decode(WHOLE[:size])


@given(st.integers(1_000, len(WHOLE) - 2_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(place: int, change: int) -> None:
    content = bytearray(WHOLE)
    content[place] ^= change
    try:
        state, settings = checkpoint.decode(bytes(content))
    except Unreadable:
        return
    assert checkpoint.encode(state, settings) == WHOLE


def test_a_checkpoint_returns_every_bit(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    vectors = (chance.standard_normal(50_963).astype(np.float32) for _ in range(3))
    state = State(9, *vectors)
    checkpoint.save(tmp_path / "deep" / "er", state, SETTINGS)
    found, troubles = checkpoint.newest(tmp_path / "deep" / "er", SETTINGS)
    assert found is not None
    assert troubles == ()
    assert checkpoint.encode(found, SETTINGS) == checkpoint.encode(state, SETTINGS)


def test_the_report_names_the_step_and_the_time(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, fresh_state(1)._replace(step=5), SETTINGS)
    report = json.loads((tmp_path / ".parkade.json").read_bytes())
    assert report["step"] == 5
    at = datetime.fromisoformat(report["at"])
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        checkpoint.save(tmp_path, fresh_state(1)._replace(step=step), SETTINGS)
    names = [path.name for path in checkpoint.saved(tmp_path)]
    assert names == ["step-000000010.npz", "step-000000003.npz"]


def test_a_bad_newest_falls_back_to_the_one_before(tmp_path: Path) -> None:
    for step in (1, 2):
        last = checkpoint.save(tmp_path, fresh_state(1)._replace(step=step), SETTINGS)
    last.write_bytes(b"")
    found, troubles = checkpoint.newest(tmp_path, SETTINGS)
    assert found is not None
    assert found.step == 1
    assert len(troubles) == 1


def test_an_empty_or_absent_folder_holds_none(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path, SETTINGS) == (None, ())
    assert checkpoint.newest(tmp_path / "absent", SETTINGS) == (None, ())
    checkpoint.sweep(tmp_path / "absent")


def test_another_run_is_not_resumed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, fresh_state(1), SETTINGS)
    with pytest.raises(checkpoint.OtherRun):
        checkpoint.newest(tmp_path, '{"seed": 2}')
