"""A node under load: what is found, which GPUs are loaded, and one that does not answer."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from parkade.repairs.burn_in import (
    LoadedGpus,
    await_gpus,
    begin_gpu,
    blocks_for,
    idle_gpus,
    load_machine,
)
from tests.repairs.test_check import IDLE, check, engine, recorded_library

__all__ = ["engine"]
BLOCK = 1 << 20


def test_a_sound_machine_passes_and_says_what_was_read() -> None:
    found = load_machine(0.0, [bytearray(b"\x5a") * BLOCK for _ in range(3)])
    assert found.passed and found.says == "3 processors, 3 MiB read 2 times and more"


def test_memory_that_changes_under_load_is_found() -> None:
    blocks = [bytearray(b"\x5a") * BLOCK for _ in range(2)]
    over = threading.Event()

    def flip() -> None:
        while not over.wait(0.01):
            blocks[1][BLOCK // 2] ^= 1 << 3

    flipping = threading.Thread(target=flip)
    flipping.start()
    try:
        found = load_machine(60.0, blocks[1:])
    finally:
        over.set()
        flipping.join()
    assert not found.passed and "block 0 differs in pass" in found.says


def test_a_share_of_the_free_memory_is_held_and_no_more() -> None:
    assert sum(map(len, blocks_for(600, 64 << 20))) <= 16 << 20
    assert max(map(len, blocks_for(0.25, 1 << 40))) == 16 << 20


def _said(code: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", code]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ('print(\'{"passed": true, "loaded": true, "says": "81 GiB"}\')', []),
        (
            'print(\'{"passed": false, "loaded": true, "says": "3 words"}\'); raise SystemExit(1)',
            ["GPU a: 3 words"],
        ),
        (
            'print(\'{"passed": true, "loaded": true, "says": "x"}\'); raise SystemExit(1)',
            ["GPU a: x"],
        ),
        ("print('no JSON')", ["GPU a: no JSON"]),
        ("import os; os.kill(os.getpid(), 9)", ["GPU a: it ended without a word"]),
        ("import time; time.sleep(600)", ["GPU a does not answer under load"]),
    ],
)
def test_what_a_gpus_process_says_or_does_not_say_is_the_finding(code: str, bad: list[str]) -> None:
    child = _said(code)
    found = await_gpus({"a": child}, 2.0 if "sleep" in code else 120.0)
    assert found == LoadedGpus(bad, [] if bad else ["81 GiB"], [])
    assert child.returncode is not None


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (LoadedGpus([], ["81 GiB", "80 GiB"], []), "2 of 2 GPUs loaded: 81 GiB"),
        (LoadedGpus([], [], ["no libcuda", "no libcuda"]), "0 of 2 GPUs loaded: no libcuda"),
        (
            LoadedGpus([], ["81 GiB"], ["code 209"]),
            "1 of 2 GPUs loaded: 81 GiB; not loaded: code 209",
        ),
        (LoadedGpus(["GPU a: 3 words"], ["81 GiB"], ["code 209"]), "GPU a: 3 words"),
    ],
)
def test_a_gpu_that_was_not_loaded_is_not_counted_as_loaded(found: LoadedGpus, says: str) -> None:
    assert found.says == says


def test_a_driver_that_takes_no_kernels_fails_nothing_and_is_told(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (engine.parent / "libcuda.so.1").write_text("not a library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(engine.parent))
    more = ("--burn-in", "0.05", "--machine", "n1")
    gpus = [{**IDLE, "bus": bus} for bus in ("0000:1b:00.0", "0000:3b:00.0")]
    code, report = check("validate", engine, grade="long", gpus=gpus, more=more)
    assert code == 0, report
    (loaded,) = (it for it in report["checks"] if it["check"] == "gpu load")
    assert loaded["passed"] and loaded["says"].startswith("0 of 2 GPUs loaded: ")
    assert "libcuda.so.1" in loaded["says"]


def test_a_gpu_that_runs_a_process_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDED_GPUS", "[]")
    monkeypatch.syspath_prepend(recorded_library(tmp_path))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    import pynvml  # type: ignore[import-untyped,unused-ignore]

    gpus = [{**IDLE, "bus": "0000:1b:00.0"}, {**IDLE, "pids": [1], "bus": "0000:3b:00.0"}]
    monkeypatch.setattr(pynvml, "GPUS", gpus)
    assert idle_gpus() == (["0000:1b:00.0"], 1)
    sys.modules.pop("pynvml")  # Not by monkeypatch, which would put it back at its end.


@pytest.mark.parametrize(
    ("grade", "machine", "is_loaded"),
    [("long", "n1", True), ("short", "n1", False), ("long", "n2", False), ("long", None, False)],
)
def test_only_a_long_validation_of_the_machine_itself_loads_it(
    engine: Path, grade: str, machine: str | None, is_loaded: bool
) -> None:
    more = ("--burn-in", "0.05", *(() if machine is None else ("--machine", machine)))
    code, report = check("validate", engine, grade=grade, more=more)
    assert code == 0
    assert ("load" in [it["check"] for it in report["checks"]]) is is_loaded


def test_a_node_on_which_a_look_found_something_is_not_loaded(engine: Path) -> None:
    more = ("--burn-in", "600", "--machine", "n1")
    code, report = check("validate", engine, grade="long", gpus=[None], more=more)
    assert code == 1 and "load" not in [it["check"] for it in report["checks"]]


# ---------------------------------------------------------------- a real GPU


@pytest.mark.gpu
def test_a_real_gpu_under_load_passes_and_its_memory_is_free_again(engine: Path) -> None:
    more = ("--burn-in", "10", "--machine", "n1")
    code, report = check("validate", engine, grade="long", more=more)
    assert code == 0, report
    (loaded,) = (it["says"] for it in report["checks"] if it["check"] == "gpu load")
    assert "every unit" in loaded
    assert check("sanitise", engine)[0] == 0


WORDS_THAT_CHANGE = """
import sys
from parkade.repairs.gpu_driver import Gpu
gpu, words = Gpu(sys.argv[1]), 1 << 28
at = gpu.take(words * 4)
gpu.fill(at, words, seed=7)
assert gpu.verify(at, words, seed=7) == 0
assert gpu.verify(at, words, seed=8) > words // 2
gpu.write(at + 4 * (words - 1), 123, 1)
gpu.write(at, 321, 2)
assert gpu.verify(at, words, seed=7) == 3
wanted = gpu.chain(10_000)
assert gpu.burn(10_000, wanted) == 0
assert gpu.burn(10_000, wanted ^ 1) == gpu.blocks * 256
"""
"""In a process of its own: who opens a GPU is a process on it until it ends."""


@pytest.mark.gpu
def test_a_word_that_changes_in_a_real_gpus_memory_and_a_number_that_differs_are_counted() -> None:
    ((address,), _) = idle_gpus()
    done = subprocess.run(
        [sys.executable, "-c", WORDS_THAT_CHANGE, address], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
def test_a_real_gpu_is_loaded_for_as_long_as_it_is_told() -> None:
    ((address,), _) = idle_gpus()
    said = begin_gpu(address, 5.0).communicate()[0]
    answer = json.loads(said)
    assert answer["passed"] and answer["loaded"], said
    assert int(answer["says"].split("every unit, ")[1].split()[0]) >= 2, said
