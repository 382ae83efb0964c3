"""The GPUs of a node, through NVML or DCGM's exporter: `ports.Sensor` around pure parsers.

A sensor keeps the reading before, to compare it with the next, and is polled by one thread.
"""

from collections.abc import Callable

from parkade.core.healing.symptom import (
    ConditionFact,
    Evidence,
    NodeCondition,
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


class Gpus:
    """What the sensors of GPUs share: the reading before, and what follows from the next one or
    from its failure. `expected`: how many GPUs the node should have."""

    def __init__(
        self, *, name: str, source: Source, parser: str, node: str, expected: int | None
    ) -> None:
        self.name = name
        self.state = READ
        self.expected = expected
        self._source = source
        self._parser = parser
        self._node = node
        self._before: NodeReading | None = None

    @property
    def has_answered(self) -> bool:
        """Whether there was a reading."""
        return self._before is not None

    def answered(self, reading: NodeReading) -> list[Symptom]:
        """A reading."""
        self.state = READ
        before, self._before = self._before, reading
        return gpu_symptoms(
            before,
            reading,
            node=self._node,
            source=self._source,
            parser=self._parser,
            expected=self.expected,
        )

    def silent(self, state: str, now_us: int) -> list[Symptom]:
        """No reading; a symptom where there was one before."""
        self.state = state
        if self._before is None:
            return []
        evidence = Evidence(
            line=bounded(f"{self.name}: {state}"),
            source=self._source,
            reporter=self._node,
            parser=self._parser,
            at_us=now_us,
        )
        fact = ConditionFact(condition=NodeCondition.SENSOR_SILENT, amount=None)
        return [Symptom(node=self._node, device=None, fact=fact, job=None, evidence=evidence)]


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
        self._gpus = Gpus(
            name=self.name, source=Source.NVML, parser=nvml.PARSER, node=node, expected=expected
        )
        self._node = node
        self._reader = reader or nvml.NvmlReader()
        self._every_us = every_us
        self._read_us: int | None = None

    @property
    def state(self) -> str:
        """See `ports.Sensor`."""
        return self._gpus.state

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        is_absent = self.state.startswith("absent") and not self._gpus.has_answered
        wait_us = max(self._every_us, ABSENT_US if is_absent else 0)
        if self._read_us is not None and 0 <= now_us - self._read_us < wait_us:
            return []
        self._read_us = now_us
        try:
            return self._gpus.answered(self._reader.read())
        except nvml.NoGpu as why:
            is_configured = self._gpus.expected is not None
            return self._gpus.silent(f"{'failed' if is_configured else 'absent'}: {why}", now_us)
        except nvml.NvmlHung as why:
            self._gpus.state = f"failed: {why}"
            return [nvml.hung_symptom(str(why), node=self._node, at_us=now_us)]
        except nvml.NvmlFailed as why:
            return self._gpus.silent(f"failed: {why}", now_us)

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
        self._gpus = Gpus(
            name=self.name, source=Source.DCGM, parser=dcgm.PARSER, node=node, expected=expected
        )
        self._url = url
        self._scrape = scrape

    @property
    def state(self) -> str:
        """See `ports.Sensor`."""
        return self._gpus.state

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        try:
            return self._gpus.answered(dcgm.parse_text(self._scrape(self._url), at_us=now_us))
        except dcgm.DcgmError as why:
            return self._gpus.silent(f"failed: {why}", now_us)

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""
