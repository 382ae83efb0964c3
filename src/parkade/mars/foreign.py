"""Tells of lines that were left out of a log, since they name a machine that is not in the file.

Each such machine is told once for each log, however many nodes share the log, at most `MOST_NAMED`
of a log; then once how many there are. That a node may have another name in its log is said only
where the log is of one node and no line of it names that node: elsewhere such advice would blame a
node for another machine.
"""

from collections.abc import Sequence
from pathlib import Path

import structlog

from parkade.mars.metrics import Metrics
from parkade.mars.run_file import NodeEntry
from parkade.ports import LogSensor
from parkade.sensors.kernel_log.hosts import Hosts
from parkade.sensors.polling import SensorGroup

MOST_NAMED = 5
UNNAMED = "these lines name no machine, and several nodes share the log"
UNPLACED = "these lines name no machine in a form that is known, and others of the log name theirs"
TWO_DOMAINS = (
    "{node} is the short name of two machines in this log, and no line of either is taken; write"
    " the full name as its `host`"
)
ELSEWHERE = "it is in the file, with another log or none"
UNKNOWN = "add it to `nodes` to watch it"
MAYBE = "where it is {node} by another name, give {node} `host: {host}`; else add it to `nodes`"


class ForeignLines:
    """See the module."""

    def __init__(self, nodes: Sequence[NodeEntry], metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = structlog.get_logger("parkade.mars")
        self._names = Hosts(name for node in nodes for name in (node.node, *(node.host or ())))
        self._logs = {node.node: node.kernel_log for node in nodes}
        self._of_log: dict[Path, int] = {}
        for path in filter(None, self._logs.values()):
            self._of_log[path] = self._of_log.get(path, 0) + 1
        self._lines: dict[str, int] = {}
        self._named: dict[Path, set[str]] = {}
        self._has_more: set[Path] = set()

    def tell(self, logs: SensorGroup[LogSensor]) -> None:
        """What is new since the last call. Costs the logs, and the machines that are told."""
        for node, log in logs.sensors:
            others, path = log.others, self._logs.get(node)
            if self._lines.get(node) == others.lines or path is None:
                continue
            self._lines[node] = others.lines
            self._metrics.foreign.labels(node).set(others.lines)
            named = self._named.setdefault(path, set())
            for host in others.hosts:
                if host not in named and len(named) < MOST_NAMED:
                    named.add(host)
                    self._tell(node, path, host, has_own=others.has_own)
            if others.machines > MOST_NAMED and path not in self._has_more:
                self._has_more.add(path)
                count = others.machines - MOST_NAMED
                why = "they are not in the file; no more of this log are told"
                self._log.warning("lines left out", log=str(path), more_machines=count, why=why)

    def _tell(self, node: str, path: Path, host: str, *, has_own: bool) -> None:
        if not host:
            why = UNNAMED if self._of_log[path] > 1 else UNPLACED
        elif (short := self._short_name(path, host)) is not None:
            why = TWO_DOMAINS.format(node=short)
        elif self._names.has(host):
            why = ELSEWHERE
        elif self._of_log[path] > 1 or has_own:
            why = UNKNOWN
        else:
            why = MAYBE.format(node=node, host=host)
        self._log.warning("lines left out", log=str(path), machine=host or "unnamed", why=why)

    def _short_name(self, path: Path, host: str) -> str | None:
        """The node of this log whose name is the short one of a machine that was left out."""
        of_log = (node for node, log in self._logs.items() if log == path)
        return next((node for node in of_log if Hosts((node,)).has(host)), None)
