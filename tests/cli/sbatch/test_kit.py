"""What a script finds on its nodes in place of Slurm: steps, GPUs, files, exits."""

import json
from pathlib import Path

import pytest

from parkade.cli.sbatch.options import Wrong
from tests.cli.sbatch.gang import Gang
from tests.cli.sbatch.outcomes import read


@pytest.fixture
def gang(tmp_path: Path) -> Gang:
    return Gang(tmp_path)


def command(body: str, *options: str) -> str:
    return read(f"#!/bin/bash\n{body}\n", "job.sh", *options, "job.sh", "one", "two words")[0]


def test_the_script_runs_to_the_letter_with_its_arguments(gang: Gang) -> None:
    body = "echo 'a $b' \"$2\" `echo \\\\n`\ncat <<'EOF'\nPARKADE\nEOF\n\ttrue"
    made = read(f"#!/bin/bash\n{body}\n", "job.sh", "--gpus=1", "job.sh", "1", "two words")[0]
    codes, (printed,) = gang.run(made, nodes=1, gpus=1)
    assert (codes, printed) == ([0], "a $b two words n\nPARKADE\n")
    kept = gang.checkpoints / ".sbatch" / "w12.1" / "rank.0" / "slurm_script"
    assert kept.read_text() == f"#!/bin/bash\n{body}\n"


def test_steps_beside_each_other_share_no_gpu(gang: Gang) -> None:
    meets = "touch up.$SLURM_STEP_ID; until [ $(ls up.* | wc -l) = 4 ]; do sleep 0.05; done"
    body = (
        f"for n in 1 2 3 4; do srun -n1 --exact --gres=gpu:2 bash -c '{meets};"
        " echo $CUDA_VISIBLE_DEVICES >got.$SLURM_STEP_ID' & done; wait"
    )
    codes, _ = gang.run(command(body, "--gpus-per-node=8", "--ntasks=4"), nodes=1, gpus=8)
    got = ",".join(file.read_text().strip() for file in gang.work.glob("got.*"))
    assert codes == [0]
    assert sorted(got.split(",")) == list("01234567")


def test_a_step_waits_for_gpus_that_another_has(gang: Gang) -> None:
    body = (
        "srun -n1 --gres=gpu:1 bash -c 'touch first; until [ -e go ]; do sleep 0.05; done' &\n"
        "until [ -e first ]; do sleep 0.05; done\n"
        "srun -n1 --gres=gpu:2 bash -c '[ -e go ] && echo waited' &\n"
        "touch go; wait"
    )
    codes, (printed,) = gang.run(command(body, "--gpus-per-node=2"), nodes=1, gpus=2)
    assert (codes, printed) == ([0], "waited\n")


def test_a_step_runs_on_the_nodes_that_it_names(gang: Gang) -> None:
    says = "bash -c 'echo $PARKADE_NODE_RANK:$SLURM_PROCID'"
    body = (
        f"srun -N1 -n1 -w 10.0.0.2 {says}\nsrun -N1 -n2 -r 2 {says}\n"
        f"srun --exclude=node1,node2 --ntasks-per-node=1 {says}\nsrun -n2 {says}"
    )
    codes, printed = gang.run(command(body, "--nodes=3", "--gres=gpu:1"), nodes=3, gpus=1)
    assert codes == [0, 0, 0]
    found = [sorted(text.split()) for text in printed]
    assert found == [["0:0"], ["1:0", "1:1"], ["2:0", "2:0", "2:1"]]


def test_a_script_ends_as_its_last_command_and_a_step_with_its_greatest_code(gang: Gang) -> None:
    body = "srun bash -c 'exit $((SLURM_PROCID * 4))'; echo code $?; exit 7"
    codes, printed = gang.run(command(body, "--nodes=2", "--gres=gpu:1"), nodes=2, gpus=1)
    assert codes == [7, 0]
    assert printed == ["code 4\n", ""]


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("--pty bash", "--pty is not there"),
        ("--mpi=pmix x", "--mpi=pmix is not there; start MPI by mpirun"),
        ("--nonsense x", "--nonsense is not there"),
        ("-n 0 x", "-n needs a whole number"),
        ("-N 5 x", "there are 1 nodes, not 5"),
        ("-w elsewhere x", "no such node"),
        ("", "nothing to run"),
    ],
)
def test_a_step_that_cannot_be_run_says_why(gang: Gang, step: str, why: str) -> None:
    codes, (printed,) = gang.run(command(f"srun {step}", "--gpus=1"), nodes=1, gpus=1)
    assert codes == [1]
    assert f"srun: {why}" in printed


def test_a_later_attempt_appends_and_knows_how_often_it_was_started(gang: Gang) -> None:
    body = "echo restart ${SLURM_RESTART_COUNT:-0}; ls -A $PARKADE_CHECKPOINT_DIR/.sbatch"
    made = command(body, "--gpus=1", "--output=%j/%x-%5j.txt")
    (gang.work / "12").mkdir()
    for attempt in (1, 3):
        codes, _ = gang.run(made, nodes=1, gpus=1, attempt=attempt)
        assert codes == [0]
    written = (gang.work / "12" / "job.sh-00012.txt").read_text()
    assert written == "restart 0\nw12.1\nrestart 2\nw12.3\n"


def test_output_that_cannot_be_written_fails_the_script(gang: Gang) -> None:
    codes, (printed,) = gang.run(
        command("echo never", "--gpus=1", "--output=nowhere/x"), nodes=1, gpus=1
    )
    assert codes == [1]
    assert "never" not in printed and "nowhere/x" in printed


def test_what_a_script_exports_reaches_all_nodes_and_stays_nowhere(gang: Gang) -> None:
    body = "export KEY=$'a\\nsecret \"word\"'; cd /; srun bash -c 'echo \"$KEY\" in $PWD'"
    codes, printed = gang.run(command(body, "--nodes=2", "--gres=gpu:1"), nodes=2, gpus=1)
    assert codes == [0, 0]
    assert printed == ['a\nsecret "word" in /\n'] * 2
    left = [file for file in gang.checkpoints.rglob("*") if file.is_file()]
    assert left and not any('secret \\"word' in file.read_text() for file in left
                            if file.name not in ("slurm_script", "kit.sh"))  # fmt: skip
    assert all(not file.stat().st_mode & 0o077 for file in gang.checkpoints.glob(".sbatch/*"))


def test_a_task_of_another_node_is_killed_with_a_step_that_is_to_end_as_a_whole(
    gang: Gang,
) -> None:
    body = (
        "srun -K bash -c 'if [ $SLURM_PROCID = 1 ]; then"
        " sleep 600 & echo $! >child; touch up; wait; fi;"
        " until [ -s child ] && [ -e up ]; do sleep 0.05; done; exit 3'"
    )
    codes, _ = gang.run(command(body, "--nodes=2", "--gres=gpu:1"), nodes=2, gpus=1)
    assert codes == [3, 0]
    child = Path("/proc") / (gang.work / "child").read_text().strip() / "stat"
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_script_that_is_too_long_is_refused_with_its_most() -> None:
    with pytest.raises(Wrong, match=r"70,\d+ characters; at most 5\d,\d+"):
        command("#" * 70_000, "--gpus=1")


def test_a_command_is_text_that_json_can_carry() -> None:
    made = command("echo é", "--gpus=1")
    assert json.loads(json.dumps(made)) == made
