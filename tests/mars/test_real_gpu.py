"""Mars on a machine with a real GPU: what its driver says, writes and frees."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from parkade.core.healing.symptom import Symptom, XidFact
from parkade.core.healing.verdict import Level
from parkade.engines.local.devices import Machine
from parkade.engines.local.engine import LocalEngine
from parkade.mars.policy_file import shipped_policy
from parkade.mars.scanning import scan_of
from parkade.ports import NodeShape
from parkade.sensors.gpu.live import Nvml
from parkade.sensors.gpu.nvml import NvmlReader
from parkade.sensors.kernel_log.live import KernelRing
from parkade.sensors.kernel_log.reading import Tally
from tests.clocks import WallClock
from tests.engines.trial import attempt_of, order_in, output_of, released, run
from tests.engines.trial import until as until_async
from tests.waits import until

pytestmark = pytest.mark.gpu

PROGRAM = Path(__file__).with_name("gpu_programs.py")
HELD_BYTES = 4 << 30
NODE = "n1"


@contextmanager
def on_the_gpu(*words: str, marks: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """The program, in a session of its own, when it says that it has what it asked for."""
    child = subprocess.Popen(
        [sys.executable, str(PROGRAM), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(marks or {})},
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        said = child.stdout.readline()
        assert '"bytes"' in said, said + child.stdout.read()
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def used_bytes() -> int:
    """Memory in use on the first GPU."""
    words = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return int(subprocess.check_output(words, text=True)) << 20


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine's folder in which `w1.1` is live."""
    made = tmp_path / "engine"
    for name, index in (("w1.1", "live"), ("w2.1", "ended")):
        workload = name.partition(".")[0]
        home = made / "orgs" / "lab" / "workloads" / workload / "attempts" / name
        home.mkdir(parents=True)
        home.chmod(0o700)
        (made / index).mkdir()
        (made / index / name).symlink_to(home)
    return made


def check(what: str, engine: Path) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "parkade.repairs.check", what, "--engine", str(engine)],
        env={**os.environ, "PARKADE_NODE": NODE, "PARKADE_GRADE": "short"},
        stdout=subprocess.PIPE,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


# ---------------------------------------------------------------- readings


def test_a_scan_reads_the_gpu_and_blames_a_sound_one_for_nothing() -> None:
    words = [sys.executable, "-m", "parkade.cli", "mars", "scan", "--live", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    states = {each["sensor"]: each["state"] for each in found["sensors"]}
    assert states["nvml"] == "read" and states["kernel_log"].startswith("read")
    blamed = [
        each for each in found["verdicts"] if any(it["source"] == "nvml" for it in each["evidence"])
    ]
    assert blamed == []


def test_a_call_to_the_driver_that_hangs_is_a_symptom_and_the_next_one_reads() -> None:
    sensor = Nvml(node=NODE, reader=NvmlReader(timeout_s=8.0))
    found: list[list[Symptom]] = []
    asking = threading.Thread(target=lambda: found.append(sensor.poll(1)))
    asking.start()

    def children() -> list[psutil.Process]:
        below = psutil.Process().children()
        return [it for it in below if any("nvml_child" in word for word in it.cmdline())]

    (stopped,) = until(children)
    stopped.suspend()
    asking.join()
    assert [each.fact.condition.value for each in found[0]] == ["sensor_hung"]  # type: ignore[union-attr]
    assert sensor.state.startswith("failed: no answer")
    assert not psutil.pid_exists(stopped.pid)
    assert sensor.poll(2) == [] and sensor.state == "read"


# ---------------------------------------------------------------- Xids


@pytest.mark.parametrize("fault", ["address", "align", "trap"])
def test_the_xid_of_a_programs_own_fault_is_read_and_not_blamed_on_the_gpu(fault: str) -> None:
    ring = KernelRing(node=NODE)
    ring.poll(_now_us())
    with on_the_gpu(fault) as child:
        assert child.wait(60) != 0
        found: list[Symptom] = []

        def is_told() -> bool:
            found.extend(ring.poll(_now_us()))
            return any(isinstance(each.fact, XidFact) for each in found)

        until(is_told)
    xids = [each for each in found if isinstance(each.fact, XidFact)]
    known = {each.fact.process_id for each in xids if isinstance(each.fact, XidFact)}
    assert child.pid in known, [each.evidence.line for each in xids]
    judged = scan_of(found, node=NODE, policy=shipped_policy(), sensors=tuple, tally=Tally())
    assert {each.level for each in judged.verdicts} == {Level.INFO}


# ---------------------------------------------------------------- repairs


@pytest.mark.parametrize("what", ["sanitise", "validate"])
def test_a_process_that_left_its_session_and_holds_memory_is_found_until_it_is_gone(
    engine: Path, what: str
) -> None:
    idle = used_bytes()
    assert check(what, engine)[0] == 0
    with on_the_gpu("hold", str(HELD_BYTES)) as child:
        code, report = check(what, engine)
        assert code == 1 and f"no live attempt: {child.pid}" in report["says"], report
        assert used_bytes() >= idle + HELD_BYTES
    until(lambda: used_bytes() <= idle)
    code, report = check(what, engine)
    assert code == 0, report


def test_what_a_live_attempt_holds_is_left_alone_and_what_an_ended_one_holds_is_found(
    engine: Path,
) -> None:
    here = {"PARKADE_SEATS": f"{NODE}:1", "PARKADE_NOTICE_FILE": str(engine / "notice.json")}
    with on_the_gpu("hold", str(HELD_BYTES), marks={"PARKADE_ATTEMPT": "w1.1", **here}):
        code, report = check("sanitise", engine)
        assert code == 0, report
    with on_the_gpu("hold", str(HELD_BYTES), marks={"PARKADE_ATTEMPT": "w2.1", **here}) as child:
        code, report = check("sanitise", engine)
        assert code == 1 and f"{child.pid} of w2.1" in report["says"]
        assert f"no live attempt: {child.pid}" in report["says"]


# ---------------------------------------------------------------- the engine


def test_a_rank_sees_the_devices_of_its_seat_alone_and_leaves_their_memory_free(
    tmp_path: Path,
) -> None:
    machine = Machine(record=tmp_path / "devices.json")
    idle = used_bytes()

    async def body() -> None:
        engine = LocalEngine(
            pool="here",
            data=tmp_path / "pool",
            nodes=(NodeShape(node="n0", gpus=1),),
            clock=WallClock(),
            machine=machine,
            runs_as_root=True,
        )
        holds = f"exec {sys.executable} {PROGRAM} hold {HELD_BYTES}"
        attempt = attempt_of(f"echo seen $CUDA_VISIBLE_DEVICES; {holds}")
        await engine.launch(attempt)
        await until_async(lambda: used_bytes() >= idle + HELD_BYTES)
        await engine.stop(attempt.attempt, order_in(0.0, 1.0))
        await released(engine, attempt)
        assert used_bytes() <= idle, "seats are free, and the memory is not"
        words = await output_of(engine, attempt)
        assert b"seen 0\n" in words and b'"devices": 1' in words, words
        await engine.close()

    run(body())


def test_a_rank_that_dies_in_the_middle_of_a_kernel_leaves_a_gpu_that_is_read() -> None:
    with on_the_gpu("spin") as child:
        time.sleep(1.0)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    reading = NvmlReader().read()
    assert reading.gpus and not reading.failed


def _now_us() -> int:
    return time.time_ns() // 1_000
