"""Shows how the logs are read: what waits in each, whose lines were left out, and which spans of it
may have been missed."""

from collections.abc import Sequence

import structlog

from parkade.mars.foreign import ForeignLines
from parkade.mars.metrics import Metrics
from parkade.mars.run_file import NodeEntry
from parkade.ports import LogSensor
from parkade.sensors.gaps import Gaps
from parkade.sensors.polling import SensorGroup


class LogStates:
    """See the module. What is told of a log on stderr is told once."""

    def __init__(self, nodes: Sequence[NodeEntry], metrics: Metrics) -> None:
        self._files = frozenset(str(it.kernel_log) for it in nodes if it.kernel_log)
        self._foreign = ForeignLines(nodes, metrics)
        self._gaps = Gaps()
        self._metrics = metrics
        self._log = structlog.get_logger("parkade.mars")

    def begin(self, logs: SensorGroup[LogSensor], now_us: int) -> None:
        """What is followed, and what of it a start found missing."""
        for _, log in logs.sensors:
            self._metrics.followed(log.reads)
        self._tell_missed(logs, now_us)

    def show(self, logs: SensorGroup[LogSensor], now_us: int) -> None:
        """After each look at the logs."""
        self._tell_missed(logs, now_us)
        self._metrics.unknown.set(sum(log.unknown for _, log in logs.sensors))
        self._foreign.tell(logs)
        files = (log for _, log in logs.sensors if log.reads in self._files)
        self._metrics.backlogs((log.reads, log.backlog) for log in files)

    def _tell_missed(self, logs: SensorGroup[LogSensor], now_us: int) -> None:
        """Spans that were noticed since the last call; once for all nodes that share a log."""
        for gap in self._gaps.new((log for _, log in logs.sensors), now_us):
            self._log.warning(
                "lines may have been missed",
                log=gap.log,
                why=gap.why,
                until=gap.until,
                **{"from": gap.since},
            )
            self._metrics.missed(gap)
