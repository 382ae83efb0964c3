"""Tells of lines that were left out of a log, since they name another machine."""

import structlog

from parkade.mars.metrics import Metrics
from parkade.ports import LogSensor
from parkade.sensors.polling import SensorGroup


class ForeignLines:
    """See the module."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = structlog.get_logger("parkade.mars")
        self._counts: dict[str, int] = {}

    def tell(self, logs: SensorGroup[LogSensor]) -> None:
        """A node's first line of another host is told: it may be the node by another name."""
        for node, log in logs.sensors:
            count, host = log.foreign
            before = self._counts.get(node)
            if count == before:
                continue
            self._counts[node] = count
            self._metrics.foreign.labels(node).set(count)
            if count and not before:
                hint = f"say `host: {host}` if it is this node"
                self._log.warning("lines of another host left out", node=node, hint=hint)
