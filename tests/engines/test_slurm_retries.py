"""What sbatch refuses is told while it is so, and tried again; Slurm's commands are stand-ins."""

import getpass
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parkade.engines.slurm import homes
from parkade.engines.slurm.engine import SlurmEngine
from parkade.engines.slurm.settings import SlurmSettings
from parkade.engines.slurm.submitting import SHOWN_US
from parkade.ports import DesiredAttempt, EngineError, NodeShape, Observation, Phase
from tests.clocks import HandClock
from tests.engines.trial import attempt_of, run

SBATCH = """#!/bin/sh
cat > {folder}/script
echo >> {folder}/tries
test -e {folder}/sbatch.refuses && {{ cat {folder}/sbatch.refuses >&2; exit 1; }}
echo 7
"""
SQUEUE = """#!/bin/sh
test -e {folder}/down && {{ echo 'Unable to contact slurm controller' >&2; exit 1; }}
cat {folder}/jobs
"""
SINFO = """#!/bin/sh
echo '{{"errors": [], "nodes": []}}'
"""
NO_FENCE = "sbatch: error: Batch job submission failed: Requested reservation is invalid"
NO_ACCOUNT = "sbatch: error: Batch job submission failed: Invalid account or partition"


class Stand:
    """A Slurm of three shell scripts, and an engine on it whose clock the test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.say_jobs()
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("sinfo", SINFO)):
            program = folder / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(text.format(folder=folder))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.engine = SlurmEngine(
            pool="there",
            data=folder / "data",
            nodes=(NodeShape(node="n0", gpus=4),),
            clock=self.clock,
            settings=SlurmSettings(root_workloads=True, account="parkade"),
        )

    @property
    def tries(self) -> int:
        return len((self.folder / "tries").read_text().splitlines())

    def refuse(self, says: str | None) -> None:
        path = self.folder / "sbatch.refuses"
        if says is None:
            path.unlink()
        else:
            path.write_text(says)

    def say_jobs(self, *jobs: dict[str, object]) -> None:
        (self.folder / "jobs").write_text(json.dumps({"errors": [], "jobs": jobs}))

    def run_job(self, attempt: DesiredAttempt) -> None:
        """The job of its last submission runs, whatever sbatch said of it."""
        home = self.engine.homes.home(attempt)
        nonce = homes.read_submissions(home)[-1].nonce
        known = self.engine.watching.live()[0].account.uid
        mark = f"parkade:{attempt.attempt}:1:1:1:{nonce}"
        job = {"job_id": 7, "job_state": "RUNNING", "user_id": known, "comment": mark}
        self.say_jobs(job)

    def launch(self) -> DesiredAttempt:
        attempt = attempt_of("true")
        with pytest.raises(EngineError):
            run(self.engine.launch(attempt))
        return attempt

    def look(self) -> Observation:
        found = run(self.engine.observe())
        assert isinstance(found, Observation)
        return found

    def says(self) -> list[str]:
        return [one.says for one in self.look().troubles]


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    made = Stand(tmp_path)
    yield made
    run(made.engine.close())


def test_a_refusal_is_not_told_once_its_job_runs_after_all(stand: Stand) -> None:
    stand.refuse("sbatch: error: Socket timed out on send/recv operation")
    attempt = stand.launch()
    (says,) = stand.says()
    assert "Socket timed out" in says
    stand.run_job(attempt)
    assert stand.says() == []
    stand.say_jobs()
    assert stand.says() == [], "nor when it is over"


def test_the_next_try_is_told_and_comes_within_half_a_minute(stand: Stand) -> None:
    stand.refuse(NO_FENCE)
    stand.launch()
    for tries in range(1, 8):
        assert stand.tries == tries
        (says,) = stand.says()
        wait_s = min(10 * tries, 30)
        at = datetime.fromtimestamp(stand.clock.now_us() // 1_000_000 + wait_s, UTC)
        assert "Requested reservation is invalid" in says
        assert says.endswith(f"; it is tried again by {at:%H:%M:%S} UTC")
        stand.clock.pass_us(wait_s * 1_000_000 - 1)
        stand.look()
        assert stand.tries == tries, "not before"
        stand.clock.pass_us(1)
        stand.look()


def test_the_attempt_of_a_user_who_is_not_let_in_is_over_at_once_and_the_operator_is_told(
    stand: Stand,
) -> None:
    stand.refuse(NO_ACCOUNT)
    attempt = attempt_of("true")
    run(stand.engine.launch(attempt))
    (seen,) = stand.look().attempts
    assert seen.phase is Phase.RELEASED and seen.is_unadmitted and not seen.is_refused
    assert "Invalid account" in (seen.launch_error or "")
    named = f"sacctmgr add user {getpass.getuser()} account=parkade"
    assert named in (seen.launch_error or "") and "sbatch: sbatch" not in (seen.launch_error or "")
    (trouble,) = stand.look().troubles
    assert trouble.is_note and "takes no job of" in trouble.says
    assert "Invalid account" in trouble.says
    stand.clock.pass_us(SHOWN_US + 1)
    assert stand.says() == [] and stand.tries == 1


def test_what_was_refused_is_sent_again_at_once_when_slurm_answers_again(stand: Stand) -> None:
    stand.refuse(NO_FENCE)
    stand.launch()
    stand.refuse(None)
    stand.look()
    assert stand.tries == 1, "nothing says that it would fare better"
    (stand.folder / "down").touch()
    assert not stand.look().is_complete
    (stand.folder / "down").unlink()
    assert stand.says() == []
    assert stand.tries == 2


def test_where_sbatch_got_no_answer_its_job_is_looked_for_first(stand: Stand) -> None:
    stand.refuse("sbatch: error: Socket timed out on send/recv operation")
    stand.launch()
    stand.refuse(None)
    stand.engine.submitting.retry_soon()
    stand.clock.pass_us(9_999_999)
    stand.look()
    assert stand.tries == 1
    stand.clock.pass_us(1)
    stand.look()
    assert stand.tries == 2
