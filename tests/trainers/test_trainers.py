"""Real launchers and trainers under the local engine: what the stand-ins claim, with the packages.

They are installed apart, by `make trainers`, which names their environment in `PARKADE_TRAINERS`;
what is missing there, or not on the path, is skipped with its name.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from parkade.ports import RankExit
from tests.engines import standins
from tests.engines.conftest import LocalPlace
from tests.engines.noticing import AUTO, begin, noticed, told
from tests.engines.trial import attempt_of, order_in, released, run

FOLDER = Path(os.environ.get("PARKADE_TRAINERS", "/nonexistent"))
NOTICE_S = 120.0
"""Importing torch or JAX may take long; no test waits for it."""

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LocalPlace]:
    made = LocalPlace(tmp_path / "pool")
    made.engine()
    yield made
    made.close()


def needs(program: str) -> str:
    """The path of a program of the environment, or of the machine; else the test is skipped."""
    found = shutil.which(program, path=f"{FOLDER / 'bin'}:{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{program} is not installed: make trainers")
    return found


@cache
def has_module(name: str) -> bool:
    python = FOLDER / "bin" / "python"
    if not python.exists():
        return False
    asked = [str(python), "-c", f"import {name}"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def python_with(module: str) -> str:
    if not has_module(module):
        pytest.skip(f"{module} cannot be imported: make trainers")
    return str(FOLDER / "bin" / "python")


# ---------------------------------------------------------------- wrappers


@pytest.mark.parametrize(
    "words",
    [
        "uv run --no-project --offline",
        "dumb-init",
        "tini --",
        "tini -g --",
        "dumb-init -c",
        "timeout 300",
        "script -qefc",
    ],
)
def test_a_program_below_a_real_wrapper_is_told_once_and_saves(
    place: LocalPlace, words: str
) -> None:
    name, _, rest = words.partition(" ")
    program, wrapper = standins.saves("SIGTERM"), needs(name)
    if name == "script":
        command = f"{wrapper} {rest} {shlex.quote(program)} /dev/null"
    else:
        command = f"{wrapper} {rest} {program}"

    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(command, save=AUTO)
        await begin(engine, place, attempt)
        seen = await noticed(engine, attempt, NOTICE_S, 5)
        assert told(place, attempt) == ["SIGTERM"]
        assert seen.checkpoint is not None and seen.is_signalled
        assert seen.exits[0].signal is None

    run(body())


def test_each_rank_of_a_real_mpirun_is_told_and_saves_longer_than_mpirun_would_wait(
    place: LocalPlace,
) -> None:
    mpirun = needs("mpirun")
    options = "--allow-run-as-root --oversubscribe -n 2"
    ranked = 'LOCAL_RANK=${OMPI_COMM_WORLD_RANK:-$PMIX_RANK} exec "$@"'
    program = standins.saves("SIGTERM", code=0, save_s=2.0)
    command = f"{mpirun} {options} bash -c {shlex.quote(ranked)} - {program}"

    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(command, save=AUTO)
        await begin(engine, place, attempt, "00", "01")
        seen = await noticed(engine, attempt, 1.0, NOTICE_S)
        assert told(place, attempt, "00") == told(place, attempt, "01") == ["SIGTERM"]
        assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
        assert seen.checkpoint is not None

    run(body())


# ---------------------------------------------------------------- torchrun

TORCHRUN = "-m torch.distributed.run --nnodes=1 --nproc-per-node=2 --master-port=$MASTER_PORT"


@pytest.mark.parametrize(("code", "said"), [(0, 0), (85, 1)])
def test_the_workers_of_a_real_torchrun_are_told_and_it_is_not(
    place: LocalPlace, tmp_path: Path, code: int, said: int
) -> None:
    python = python_with("torch.distributed.run")
    script = tmp_path / "train.py"
    words = shlex.split(standins.saves("SIGTERM", code=code, save_s=1.5))
    script.write_text(words[-1])

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(f"{python} {TORCHRUN} {script}", save=AUTO)
        await begin(engine, place, attempt, "00", "01")
        seen = await noticed(engine, attempt, 1.0, NOTICE_S)
        first, other = sorted(told(place, attempt, rank) for rank in ("00", "01"))
        assert first == ["SIGTERM"]
        # After an exit of 85 torchrun itself sends TERM to a worker that still saves.
        assert other == first or (code == 85 and other == 2 * first)
        assert seen.checkpoint is not None and seen.is_signalled
        assert seen.exits == (RankExit(rank=0, code=said, signal=None),)

    run(body())


def test_workers_of_a_real_torchrun_without_a_handler_run_to_the_deadline(
    place: LocalPlace, tmp_path: Path
) -> None:
    python = python_with("torch.distributed.run")
    script = tmp_path / "train.py"
    script.write_text(shlex.split(standins.without_handlers())[-1])

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(f"{python} {TORCHRUN} {script}", save=AUTO)
        await begin(engine, place, attempt, "00", "01")
        order = order_in(1.0, 60)
        await engine.stop(attempt.attempt, order)
        seen = await released(engine, attempt)
        assert (seen.released_us or 0) >= order.deadline_us
        assert seen.exits == (RankExit(rank=0, code=1, signal=None),)

    run(body())


# ---------------------------------------------------------------- accelerate, Lightning

ACCELERATE = "-m accelerate.commands.launch --main_process_port $MASTER_PORT --num_machines 1"
# With --cpu alone it starts one process, however many it is asked for.
ACCELERATED = {1: "--cpu", 2: "--multi_gpu --num_processes 2"}


@pytest.mark.parametrize("processes", [1, 2])
def test_the_workers_of_a_real_accelerate_are_told(
    place: LocalPlace, tmp_path: Path, processes: int
) -> None:
    python = python_with("accelerate")
    script = tmp_path / "train.py"
    script.write_text(shlex.split(standins.saves("SIGTERM", code=0, save_s=1.5))[-1])
    ranks = ("00", "01")[:processes] if processes > 1 else ("0",)

    async def body() -> None:
        engine = place.engine()
        command = f"{python} {ACCELERATE} {ACCELERATED[processes]}"
        attempt = attempt_of(f"{command} --mixed_precision no {script}", save=AUTO)
        await begin(engine, place, attempt, *ranks)
        seen = await noticed(engine, attempt, 1.0, NOTICE_S)
        for rank in ranks:
            assert told(place, attempt, rank) == ["SIGTERM"]
        assert seen.checkpoint is not None and seen.is_signalled
        assert seen.exits == (RankExit(rank=0, code=0, signal=None),)

    run(body())


LIGHTNING = """
import logging, os, sys, time, warnings
warnings.filterwarnings("ignore")
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import OnExceptionCheckpoint

folder = os.environ["PARKADE_CHECKPOINT_DIR"]

class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
    def training_step(self, batch, _):
        open(folder + "/up.0", "a").close()
        time.sleep(0.05)
        return self.layer(batch).sum()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

saves = [OnExceptionCheckpoint(folder)] if sys.argv[1] == "saves" else []
trainer = pl.Trainer(
    max_epochs=-1, accelerator="auto", devices=1, logger=False, callbacks=saves,
    enable_checkpointing=bool(saves), enable_progress_bar=False, enable_model_summary=False,
)
trainer.fit(Model(), torch.utils.data.DataLoader(torch.ones(10_000, 1)))
"""


@pytest.mark.parametrize("how", ["saves", "plain"])
def test_real_lightning_leaves_with_zero_and_has_saved_only_where_it_was_told_to(
    place: LocalPlace, tmp_path: Path, how: str
) -> None:
    python = python_with("lightning.pytorch")
    script = tmp_path / "train.py"
    script.write_text(LIGHTNING)

    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(f"{python} {script} {how}; exit $?", save=AUTO)
        await begin(engine, place, attempt)
        seen = await noticed(engine, attempt, NOTICE_S, 5)
        assert seen.is_signalled
        assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
        saved = list(place.checkpoints(attempt).glob("*.ckpt"))
        assert bool(saved) is (how == "saves")

    run(body())


# ---------------------------------------------------------------- Hugging Face Trainer

HUGGING_FACE = """
import os, sys, time
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

folder = os.environ["PARKADE_CHECKPOINT_DIR"]

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 100_000
    def __getitem__(self, index):
        return {"x": torch.ones(8), "labels": torch.zeros(8)}

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)
    def forward(self, x, labels):
        logits = self.layer(x)
        return {"loss": (logits - labels).square().mean(), "logits": logits}

class Steps(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        with open(f"{folder}/steps", "a") as steps:
            print(state.global_step, file=steps)
        open(folder + "/up.0", "a").close()
        time.sleep(0.05)
        if "one" in sys.argv:
            control.should_training_stop = True

trainer = Trainer(
    model=Model(),
    args=TrainingArguments(
        output_dir=folder, max_steps=100_000, save_strategy="no", report_to=[], disable_tqdm=True,
        enable_jit_checkpoint=True,
    ),
    train_dataset=Rows(),
    callbacks=[Steps()],
)
trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))
"""


def test_a_real_hugging_face_trainer_saves_and_goes_on_at_the_next_step(
    place: LocalPlace, tmp_path: Path
) -> None:
    python = python_with("transformers, accelerate, torch")
    script = tmp_path / "train.py"
    script.write_text(HUGGING_FACE)

    attempt = attempt_of(f"{python} {script}; exit $?", save=AUTO)

    async def body() -> None:
        engine = place.engine()
        await begin(engine, place, attempt)
        seen = await noticed(engine, attempt, NOTICE_S, 5)
        assert seen.is_signalled
        assert seen.exits == (RankExit(rank=0, code=0, signal=None),)

    run(body())
    folder = place.checkpoints(attempt)

    def last_step() -> int:
        return int((folder / "steps").read_text().split()[-1])

    (saved,) = (int(one.name.removeprefix("checkpoint-")) for one in folder.glob("checkpoint-*"))
    assert saved <= last_step() <= saved + 1, "it ends the step in which it has saved"
    again = {**os.environ, "PARKADE_CHECKPOINT_DIR": str(folder)}
    subprocess.run([python, str(script), "one"], env=again, check=True)
    assert last_step() == saved + 1


# ---------------------------------------------------------------- JAX

JAX_BEGIN = """
import os
os.environ["JAX_PLATFORMS"] = "cpu"
import jax
jax.distributed.initialize(
    coordinator_address=os.environ["MASTER_ADDR"] + ":" + os.environ["MASTER_PORT"],
    num_processes=int(os.environ["PARKADE_NODES"]),
    process_id=int(os.environ["PARKADE_NODE_RANK"]),
)
"""


def jax_program(tmp_path: Path, body: str) -> str:
    """The command line of a program that begins with JAX's own handler in place."""
    python = python_with("jax")
    script = tmp_path / "train.py"
    script.write_text(JAX_BEGIN + shlex.split(standins.python(body))[-1])
    return f"exec {python} {script}"


def test_real_jax_ranks_agree_on_a_step_and_save(place: LocalPlace, tmp_path: Path) -> None:
    command = jax_program(
        tmp_path,
        """
        from jax.experimental import multihost_utils
        up()
        step = 0
        while not multihost_utils.reached_preemption_sync_point(step):
            step += 1
            time.sleep(0.05)
        note("step", str(step))
        report()
        """,
    )

    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(command, nodes=2, save=AUTO)
        await begin(engine, place, attempt, "0", "1")
        seen = await noticed(engine, attempt, NOTICE_S, 5)
        assert [one.code for one in seen.exits] == [0, 0]
        assert seen.is_signalled and seen.checkpoint is not None
        steps = {(place.checkpoints(attempt) / f"step.{rank}").read_text() for rank in (0, 1)}
        assert len(steps) == 1, "they stopped at the same step"

    run(body())


def test_a_real_jax_program_that_does_not_ask_ends_by_kill(
    place: LocalPlace, tmp_path: Path
) -> None:
    command = jax_program(tmp_path, "up()\nwait()")

    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(command, save=AUTO)
        await begin(engine, place, attempt)
        order = order_in(0.5, 2.0)
        await engine.stop(attempt.attempt, order)
        seen = await released(engine, attempt)
        assert (seen.released_us or 0) >= order.kill_us
        assert seen.exits == (RankExit(rank=0, code=None, signal=9),)

    run(body())
