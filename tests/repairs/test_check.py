"""The shipped checks: what they find, what they remove, and what they leave alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from parkade.engines.local.folders import Folders


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine's folder: `w1.1` is live, `w2.1` ended, `w3.1` is a remnant of a crash."""
    made = tmp_path / "engine"
    for name, index in (("w1.1", "live"), ("w2.1", "ended"), ("w3.1", None)):
        workload = name.partition(".")[0]
        home = made / "orgs" / "lab" / "workloads" / workload / "attempts" / name
        home.mkdir(parents=True)
        home.chmod(0o700)
        (home / "output").write_text("words of a tenant")
        checkpoints = home.parents[1] / "checkpoints"
        checkpoints.mkdir()
        (checkpoints / "step-7").write_text("weights")
        for folder in ("live", "ended"):
            (made / folder).mkdir(exist_ok=True)
        if index is not None:
            (made / index / name).symlink_to(home)
    return made


RECORDED_NVML = """
import json, os
from types import SimpleNamespace

GPUS = json.loads(os.environ["RECORDED_GPUS"])

NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_LIBRARY_NOT_FOUND = 12

class NVMLError(Exception):
    def __init__(self, words, value=999):
        super().__init__(words)
        self.value = value

def nvmlInit():
    if code := int(os.environ.get("NVML_INIT", "0")):
        raise NVMLError("Driver Not Loaded" if code == 9 else "Unknown Error", code)

def nvmlDeviceGetCount():
    return len(GPUS)

def nvmlDeviceGetHandleByIndex(index):
    if GPUS[index] is None:
        raise NVMLError("GPU is lost")
    return GPUS[index]

def nvmlDeviceGetPciInfo(gpu):
    return SimpleNamespace(busId=gpu["bus"])

def nvmlDeviceGetMemoryInfo(gpu):
    return SimpleNamespace(used=gpu["used"])

def nvmlDeviceGetComputeRunningProcesses(gpu):
    return [SimpleNamespace(pid=pid) for pid in gpu["pids"]]

def nvmlDeviceGetRemappedRows(gpu):
    if "rows" not in gpu:
        raise NVMLError("not supported")
    return tuple(gpu["rows"])
"""
"""In place of NVIDIA's library: it answers with readings of GPUs, as NVML would."""


def recorded_library(folder: Path) -> Path:
    """The folder of a library that answers so."""
    library = folder / "library"
    library.mkdir(exist_ok=True)
    (library / "pynvml.py").write_text(RECORDED_NVML)
    return library


def check(
    what: str,
    engine: Path,
    *,
    node: str = "n1",
    grade: str = "",
    gpus: Sequence[dict[str, Any] | None] | None = None,
    expected: int | None = None,
    init: int = 0,
    more: Sequence[str] = (),
) -> tuple[int, Any]:
    """The exit code and the JSON; `gpus`: what NVML says of each, None is lost; `init`: the code
    with which NVML does not begin; `more` words of the command."""
    given: dict[str, str] = {}
    if gpus is not None:
        library = recorded_library(engine.parent)
        path = os.pathsep.join((str(library), os.environ.get("PYTHONPATH", "")))
        given = {"RECORDED_GPUS": json.dumps(gpus), "PYTHONPATH": path, "NVML_INIT": str(init)}
    words = [sys.executable, "-m", "parkade.repairs.check", what, "--engine", str(engine), *more]
    done = subprocess.run(
        words if expected is None else [*words, "--gpus", str(expected)],
        env={**os.environ, **given, "PARKADE_NODE": node, "PARKADE_GRADE": grade},
        stdout=subprocess.PIPE,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@contextmanager
def marked(engine: Path, attempt: str, seats: str) -> Iterator[int]:
    """A process with the marks of an attempt."""
    marks = {
        "PARKADE_ATTEMPT": attempt,
        "PARKADE_SEATS": seats,
        "PARKADE_NOTICE_FILE": str(engine.resolve() / "notice.json"),
    }
    child = subprocess.Popen(["sleep", "1000"], env={"PATH": os.environ["PATH"], **marks})
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()


def test_a_sound_node_passes_and_says_what_was_looked_at(engine: Path) -> None:
    code, report = check("validate", engine, grade="short")
    assert code == 0 and report["passed"]
    assert {it["check"] for it in report["checks"]} >= {"processes", "disk"}


def test_a_process_that_outlived_its_attempt_fails_both_checks(engine: Path) -> None:
    with marked(engine, "w2.1", "n1:2") as number:
        for what in ("validate", "sanitise"):
            code, report = check(what, engine)
            assert code == 1 and f"{number} of w2.1" in report["says"]
        assert check("validate", engine, node="n2")[0] == 0, "it was not on that node"
    with marked(engine, "w1.1", "n1:2"):
        assert check("validate", engine)[0] == 0, "what is live is no leftover"


def test_sanitising_removes_remnants_and_no_output_and_no_checkpoint(engine: Path) -> None:
    code, report = check("sanitise", engine)
    assert code == 0, report
    attempts = sorted(path.name for path in engine.glob("orgs/*/workloads/*/attempts/*"))
    assert attempts == ["w1.1", "w2.1"]
    assert len(list(engine.glob("orgs/*/workloads/*/checkpoints/step-7"))) == 3


IDLE = {"used": 500 << 20, "pids": []}


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ({"used": 3 << 30, "pids": []}, "GPU 1 keeps 3072 MiB without a process"),
        ({"used": 3 << 30, "pids": [2**22 + 7]}, "GPU 1 runs what is of no live attempt: 4194311"),
        ({**IDLE, "rows": [3, 0, True, False]}, "GPU 1: a row remap is pending"),
        ({**IDLE, "rows": [3, 1, False, True]}, "GPU 1: a row could not be remapped"),
        (None, "GPU is lost"),
    ],
)
@pytest.mark.parametrize("what", ["validate", "sanitise"])
def test_a_gpu_on_which_something_is_left_fails_both_checks(
    engine: Path, what: str, gpu: dict[str, Any] | None, said: str
) -> None:
    code, report = check(what, engine, gpus=[IDLE, gpu])
    assert code == 1 and said in report["says"]


def test_a_gpu_that_is_idle_or_runs_a_live_attempt_passes_both_checks(engine: Path) -> None:
    with marked(engine, "w1.1", "n1:2") as number:
        gpus = [{**IDLE, "rows": [1, 0, False, False]}, {"used": 70 << 30, "pids": [number]}]
        for what in ("validate", "sanitise"):
            code, report = check(what, engine, gpus=gpus)
            assert code == 0, report
            assert "2 read, nothing left on them" in report["says"]
    with marked(engine, "w2.1", "n9:2") as number:
        code, report = check("sanitise", engine, gpus=[{"used": 70 << 30, "pids": [number]}])
        assert code == 1 and f"no live attempt: {number}" in report["says"]


def test_a_driver_that_does_not_begin_is_no_machine_without_gpus(engine: Path) -> None:
    assert check("validate", engine, gpus=[], init=9)[0] == 0, "no driver, so no GPU"
    code, report = check("validate", engine, gpus=[IDLE], init=999)
    assert code == 1 and "Unknown Error" in report["says"]


def test_gpus_that_a_machine_should_have_are_missed(engine: Path) -> None:
    assert check("validate", engine, gpus=[IDLE, IDLE], expected=2)[0] == 0
    code, report = check("validate", engine, gpus=[IDLE], expected=2)
    assert code == 1 and "1 of 2 GPUs" in report["says"]
    code, report = check("sanitise", engine, gpus=[], init=9, expected=2)
    assert code == 1 and "0 of 2 GPUs: Driver Not Loaded" in report["says"]


@pytest.mark.gpu
def test_a_real_gpu_with_nothing_on_it_passes_sanitising(engine: Path) -> None:
    code, report = check("sanitise", engine)
    assert code == 0, report
    assert "nothing left on them" in report["says"]


def test_a_folder_that_others_can_read_fails_sanitising(engine: Path) -> None:
    home = engine / "orgs" / "lab" / "workloads" / "w2" / "attempts" / "w2.1"
    home.chmod(0o755)
    code, report = check("sanitise", engine)
    assert code == 1 and "w2.1" in report["says"]


def test_a_disk_that_takes_nothing_fails_validation(engine: Path, tmp_path: Path) -> None:
    code, report = check("validate", tmp_path / "nowhere")
    assert code == 1 and "disk" in report["says"]


def test_sanitising_removes_nothing_of_an_attempt_that_is_being_launched(engine: Path) -> None:
    home = engine / "orgs" / "lab" / "workloads" / "w4" / "attempts" / "w4.1"
    with ThreadPoolExecutor(1) as beside:
        with Folders(engine, has_other_users=False).lock():
            home.mkdir(parents=True, mode=0o700)
            done = beside.submit(check, "sanitise", engine)
            with pytest.raises(TimeoutError):
                done.result(timeout=1)
            (engine / "live" / home.name).symlink_to(home)
        assert done.result()[0] == 0
    assert home.exists()


def test_a_process_with_an_environment_that_is_no_text_fails_no_check(engine: Path) -> None:
    child = subprocess.Popen(
        ["sleep", "1000"], env={b"PATH": b"/usr/bin:/bin", b"PARKADE_\xff": b"\xff"}
    )
    try:
        assert check("validate", engine)[0] == 0
    finally:
        child.kill()
        child.wait()


def test_what_lies_behind_a_link_is_no_remnant(engine: Path, tmp_path: Path) -> None:
    moved = tmp_path / "large" / "lab"
    moved.parent.mkdir()
    (engine / "orgs" / "lab").rename(moved)
    (engine / "orgs" / "lab").symlink_to(moved)
    code, _ = check("sanitise", engine)
    assert code == 0
    homes = [moved / "workloads" / name / "attempts" / f"{name}.1" for name in ("w1", "w2", "w3")]
    assert all((home / "output").exists() for home in homes)
