"""The GPUs of a node, through NVML or DCGM's exporter: `ports.Sensor` around pure parsers.

A sensor keeps the reading before, to compare it with the next, and is polled by one thread.
"""

from collections.abc import Callable

from parkade.core.healing.symptom import (
    Condition,
    ConditionFact,
    Evidence,
    Source,
    Symptom,
    bounded,
)
from parkade.core.units.time import MINUTE_US
from parkade.sensors.gpu import dcgm, nvml
from parkade.sensors.gpu.meaning import gpu_symptoms
from parkade.sensors.gpu.readings import NodeReading
from parkade.sensors.polling import READ

ABSENT_US = 5 * MINUTE_US


class Nvml:
    """All GPUs of this machine through NVML.

    A reading starts a process, so there is at most one each `every_us`; a machine that has shown no
    GPU and of which none is expected is asked each `ABSENT_US`. In between there is no news.
    """

    name = "nvml"

    def __init__(
        self,
        *,
        node: str,
        expected: int | None = None,
        reader: nvml.NvmlReader | None = None,
        every_us: int = 0,
    ) -> None:
        self.state = READ
        self._node = node
        self._expected = expected
        self._reader = reader or nvml.NvmlReader()
        self._before: NodeReading | None = None
        self._every_us = every_us
        self._read_us: int | None = None

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        is_absent = self.state.startswith("absent") and self._before is None
        wait_us = max(self._every_us, ABSENT_US if is_absent else 0)
        if self._read_us is not None and 0 <= now_us - self._read_us < wait_us:
            return []
        self._read_us = now_us
        try:
            now = self._reader.read()
        except nvml.NoGpu as why:
            is_configured = self._expected is not None
            self.state = f"{'failed' if is_configured else 'absent'}: {why}"
            return _silence(self, self._before, self._node, Source.NVML, now_us)
        except nvml.NvmlHung as why:
            self.state = f"failed: {why}"
            return [nvml.hung_symptom(str(why), node=self._node, at_us=now_us)]
        except nvml.NvmlFailed as why:
            self.state = f"failed: {why}"
            return _silence(self, self._before, self._node, Source.NVML, now_us)
        self.state = READ
        before, self._before = self._before, now
        return gpu_symptoms(
            before,
            now,
            node=self._node,
            source=Source.NVML,
            parser=nvml.PARSER,
            expected=self._expected,
        )

    def close(self) -> None:
        """See `ports.Sensor`; no process outlives its reading."""


class DcgmExporter:
    """A node's GPUs through DCGM's exporter."""

    name = "dcgm"

    def __init__(
        self,
        url: str,
        *,
        node: str,
        expected: int | None = None,
        scrape: Callable[[str], str] = dcgm.scrape,
    ) -> None:
        self.state = READ
        self._url = url
        self._node = node
        self._expected = expected
        self._scrape = scrape
        self._before: NodeReading | None = None

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        try:
            now = dcgm.parse_text(self._scrape(self._url), at_us=now_us)
        except dcgm.DcgmError as why:
            self.state = f"failed: {why}"
            return _silence(self, self._before, self._node, Source.DCGM, now_us)
        self.state = READ
        before, self._before = self._before, now
        return gpu_symptoms(
            before,
            now,
            node=self._node,
            source=Source.DCGM,
            parser=dcgm.PARSER,
            expected=self._expected,
        )

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


def _silence(
    sensor: Nvml | DcgmExporter,
    before: NodeReading | None,
    node: str,
    source: Source,
    now_us: int,
) -> list[Symptom]:
    """A sensor that told before and tells nothing now."""
    if before is None:
        return []
    evidence = Evidence(
        line=bounded(f"{sensor.name}: {sensor.state}"),
        source=source,
        reporter=node,
        parser=f"{sensor.name}/1",
        at_us=now_us,
    )
    fact = ConditionFact(condition=Condition.SENSOR_SILENT, amount=None)
    return [Symptom(node=node, device=None, fact=fact, job=None, evidence=evidence)]
