"""One process: a run that is killed or given notice ends with the bits of one that was not."""

import json
import random
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.examples.programs import SAMPLE, running, training

STEPS = 12


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """Digest and weights file of a run nobody touched."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with training(folder) as run:
        return run.digest(), (folder / "weights.npz").read_bytes()


def reported_step(folder: Path) -> int:
    step: int = json.loads((folder / "checkpoints" / ".parkade.json").read_bytes())["step"]
    return step


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_killed_at_random_steps_ends_with_the_same_bytes(
    seed: int, tmp_path: Path, undisturbed: tuple[str, bytes]
) -> None:
    chance = random.Random(seed)
    for step in (chance.randint(1, 5), chance.randint(6, 10)):
        at_least = "|".join(str(later) for later in range(step, STEPS + 1))
        with training(tmp_path, "--pace", "0.05", "--checkpoint-every", "1") as run:
            run.read_until(rf"step ({at_least})/")
            run.process.kill()
    with training(tmp_path) as run:
        assert run.digest() == undisturbed[0]
    resumed = re.search(r"resumed from step (\d+)", run.output)
    assert resumed is not None
    assert int(resumed[1]) >= step
    assert (tmp_path / "weights.npz").read_bytes() == undisturbed[1]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_ends_the_pause_saves_and_exits_85(
    number: signal.Signals, tmp_path: Path, undisturbed: tuple[str, bytes]
) -> None:
    with training(tmp_path, "--pace", "3600") as run:
        run.read_until("step 1/")
        run.process.send_signal(number)
        assert run.finish() == 85
    assert number.name in run.output
    assert reported_step(tmp_path) == 2
    with training(tmp_path) as again:
        assert again.digest() == undisturbed[0]
    assert "resumed from step 2" in again.output


def test_a_notice_file_does_the_same_and_its_cause_is_told(
    tmp_path: Path, undisturbed: tuple[str, bytes]
) -> None:
    notice = tmp_path / "notice.json"
    with training(tmp_path, "--pace", "3600", PARKADE_NOTICE_FILE=str(notice)) as run:
        run.read_until("step 1/")
        deadline = "2026-11-23T01:00:00+00:00"
        notice.write_text(json.dumps({"deadline": deadline, "cause": "reclaimed"}))
        assert run.finish() == 85
    assert "reclaimed" in run.output
    assert deadline in run.output
    with training(tmp_path) as again:
        assert again.digest() == undisturbed[0]


def test_a_finished_run_started_again_says_the_same(
    tmp_path: Path, undisturbed: tuple[str, bytes]
) -> None:
    for _ in range(2):
        with training(tmp_path, CUDA_VISIBLE_DEVICES="3,5") as run:
            assert run.digest() == undisturbed[0]
    assert run.output.startswith("rank 0 of 1")
    assert "CUDA_VISIBLE_DEVICES 3,5" in run.output
    assert reported_step(tmp_path) == STEPS


def test_a_torn_checkpoint_is_ignored_and_told(
    tmp_path: Path, undisturbed: tuple[str, bytes]
) -> None:
    with training(tmp_path, "--pace", "3600") as run:
        run.read_until("step 1/")
        run.process.send_signal(signal.SIGUSR1)
        assert run.finish() == 85
    whole = tmp_path / "checkpoints" / "step-000000002.npz"
    torn = whole.with_name("step-000000007.npz")
    torn.write_bytes(whole.read_bytes()[:300_000])
    leftover = whole.with_name("step-000000009.npz.1.partial")
    leftover.write_bytes(b"half")
    with training(tmp_path) as again:
        assert again.digest() == undisturbed[0]
    assert "ignored step-000000007.npz" in again.output
    assert "resumed from step 2" in again.output
    assert not leftover.exists()


def test_checkpoints_of_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    with training(tmp_path) as run:
        run.digest()
    with training(tmp_path, "--seed", "7") as other:
        assert other.finish() == 2
    assert "PARKADE_CHECKPOINT_DIR" in other.output


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (("--steps", "0"), {}),
        (("--pace", "nan"), {}),
        ((), {"PARKADE_NODE_RANK": "2", "PARKADE_NODES": "2"}),
        ((), {"MASTER_PORT": "none"}),
    ],
)
def test_wrong_settings_are_refused_in_words(
    flags: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    with training(tmp_path, *flags, **environment) as run:
        assert run.finish() == 2
    assert "Traceback" not in run.output


def test_the_table_always_shows_what_needs_no_learning(tmp_path: Path) -> None:
    with training(tmp_path) as run:
        run.digest()
    command = (
        sys.executable,
        SAMPLE,
        "--products",
        "20",
        "--samples",
        "30",
        "--guesses",
        "1",
        "30",
    )
    with running(*command, folder=tmp_path) as table:
        assert table.finish() == 0, table.output
    with running(*command, "--json", folder=tmp_path) as machine:
        assert machine.finish() == 0, machine.output
    solved = json.loads(machine.output)["solved"]
    for row in (
        "random prime pair",
        "generator, verified",
        "rule: a prime in the right size range, then divide",
        "generator, majority vote, no verifier",
    ):
        assert row in table.output
        assert set(solved[row]) == {"1", "30"}


@pytest.mark.parametrize("flags", [("--products", "0"), ("--guesses", "31", "--samples", "30")])
def test_impossible_tables_are_refused_in_words(flags: tuple[str, ...], tmp_path: Path) -> None:
    with running(sys.executable, SAMPLE, *flags, folder=tmp_path) as table:
        assert table.finish() == 2
    assert "Traceback" not in table.output


def test_sampling_without_weights_says_what_to_do(tmp_path: Path) -> None:
    with running(sys.executable, SAMPLE, folder=tmp_path) as table:
        assert table.finish() == 2
    assert "train.py writes them" in table.output
