"""NVML through nvidia-ml-py, in a process of its own: a call that hangs is itself a symptom.

A sick driver does not return from its calls, and no time-out reaches inside them. So the readings
are taken by a child process; one that does not answer in time is killed, and where even that fails
it is left behind, counted, and not followed by more than one other. What a GPU or driver does not
support is left out of the reading. Where there is no GPU, driver or library, the reading says so.
"""

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from parkade.core.healing.symptom import ConditionFact, Evidence, NodeCondition, Source, Symptom
from parkade.extras import install
from parkade.sensors.gpu.readings import NodeReading
from parkade.sensors.kernel_log.codes import device_of

PARSER = "nvml/1"
TIMEOUT_S = 20.0
MOST_LEFT_BEHIND = 2
MOST_BYTES = 4 * 1_048_576


class NoGpu(Exception):
    """This machine has no NVIDIA GPU, driver or library; the message says which."""


class NvmlHung(Exception):
    """A call to the driver did not return in time."""


class NvmlFailed(Exception):
    """The driver answered with an error; the message has its words."""


@dataclass(kw_only=True)
class NvmlReader:
    """Reads all GPUs of this machine; `command` is the child, None for the one that calls NVML."""

    timeout_s: float = TIMEOUT_S
    command: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self._left_behind: list[subprocess.Popen[bytes]] = []

    def read(self) -> NodeReading:
        """One reading. Raises NoGpu, NvmlHung or NvmlFailed."""
        if self.left_behind() >= MOST_LEFT_BEHIND:
            raise NvmlHung(f"{len(self._left_behind)} earlier calls have not returned yet")
        child = subprocess.Popen(
            self.command or child_command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            out, _ = child.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            self._end(child)
            raise NvmlHung(f"no answer within {self.timeout_s:g} s") from None
        return parse_answer(out[:MOST_BYTES])

    def left_behind(self) -> int:
        """How many killed children the driver still holds."""
        self._left_behind = [child for child in self._left_behind if child.poll() is None]
        return len(self._left_behind)

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Kills a child; one that is stuck in the driver stays until the driver lets it go."""
        child.kill()
        if child.stdout is not None:
            child.stdout.close()
        try:
            child.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._left_behind.append(child)


def child_command() -> tuple[str, ...]:
    """The child that calls NVML, which looks for nothing by itself. NoGpu without the library."""
    found = importlib.util.find_spec("pynvml")
    if found is None or found.origin is None:
        raise NoGpu(f"nvidia-ml-py is not installed: {install('sensors')}")
    here = Path(__file__)
    folders = (str(here.parents[3]), str(Path(found.origin).parent))
    return (sys.executable, "-I", "-S", str(here.with_name("nvml_child.py")), *folders)


def parse_answer(out: bytes) -> NodeReading:
    """The child's answer. Raises NoGpu or NvmlFailed where it says so."""
    try:
        answer = json.loads(out)
        if "no_gpu" in answer:
            raise NoGpu(str(answer["no_gpu"]))
        if "failed" in answer and "gpus" not in answer:
            raise NvmlFailed(str(answer["failed"]))
        reading = msgspec.convert(answer, NodeReading, strict=False)
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise NvmlFailed(f"the reading cannot be understood: {error}") from error
    return msgspec.structs.replace(
        reading,
        gpus=tuple(
            msgspec.structs.replace(gpu, device=device_of(gpu.device)) for gpu in reading.gpus
        ),
        failed=tuple((device_of(device), words) for device, words in reading.failed),
    )


def hung_symptom(words: str, *, node: str, at_us: int) -> Symptom:
    """The symptom of a call that did not return."""
    evidence = Evidence(
        line=f"NVML: {words}", source=Source.NVML, reporter=node, parser=PARSER, at_us=at_us
    )
    fact = ConditionFact(condition=NodeCondition.SENSOR_HUNG, amount=None)
    return Symptom(node=node, device=None, fact=fact, job=None, evidence=evidence)
