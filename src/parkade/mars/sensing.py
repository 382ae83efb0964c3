"""Which sensors read a node: the one place where they are put together.

A scan, `parkade mars run` and the agent of a pool read a node alike. What differs is how often NVML
is asked, since a reading of it starts a process, and which clock is trusted.
"""

import shutil
import socket
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from parkade.mars.run_file import EngineEntry
from parkade.open_files import raise_file_limit
from parkade.ports import LogSensor, Sensor
from parkade.sensors.clock import ReadClock, kernel_clock
from parkade.sensors.gpu.live import DcgmExporter, Nvml
from parkade.sensors.kernel_log.from_journal import ENTRIES, KernelJournal
from parkade.sensors.kernel_log.hosts import Hosts
from parkade.sensors.kernel_log.live import KernelLogFile, KernelRing
from parkade.sensors.live import InfiniBand, MachineSensor, SlurmNodes

NONE_SHARE: Mapping[Path, Hosts] = MappingProxyType({})


class ReadNode(Protocol):
    """How a file says that a node is read. `local`: by this machine's own sensors."""

    @property
    def kernel_log(self) -> Path | None: ...
    @property
    def dcgm(self) -> str | None: ...
    @property
    def gpus(self) -> int | None: ...
    @property
    def local(self) -> bool: ...
    @property
    def host(self) -> tuple[str, ...] | None: ...


def node_sensors(
    node: str,
    entry: ReadNode,
    *,
    nvml_every_us: int = 0,
    read_clock: ReadClock = kernel_clock,
    sharing: Mapping[Path, Hosts] = NONE_SHARE,
    olddir: Path | None = None,
    rests: bool = False,
) -> tuple[Sensor, ...]:
    """The sensors of a node in the order in which they are polled. A log of its own is read in
    place of this machine's, with `sharing` as `sharers` gives it; `olddir`: the folder into which
    it is rotated; `rests`: no file of it stays open. NVML is asked at most each `nvml_every_us`."""
    found: list[Sensor] = []
    log = log_sensor(node, entry, sharing=sharing, olddir=olddir, rests=rests)
    if log is not None:
        found.append(log)
    if entry.dcgm is not None:
        found.append(DcgmExporter(entry.dcgm, node=node, expected=entry.gpus))
    if entry.local:
        found += hardware_sensors(
            node, gpus=entry.gpus, nvml_every_us=nvml_every_us, read_clock=read_clock
        )
    return tuple(found)


def must_rest(entries: Iterable[ReadNode], *, own_files: int) -> str | None:
    """Raises the limit of open files. In words where the logs do not fit in it beside `own_files`,
    so that none may stay open; None where they do."""
    # A log that is rotated is open twice for a while.
    wanted = own_files + 2 * sum(entry.kernel_log is not None for entry in entries)
    limit = raise_file_limit(wanted)
    if limit >= wanted:
        return None
    return (
        f"may open {limit} files and wants {wanted} for its logs, so it opens each log anew for"
        " each look: what is written into a log that is compressed or removed before the next one"
        " may be missed; raise `ulimit -Hn`, or LimitNOFILE under systemd"
    )


def log_sensor(
    node: str,
    entry: ReadNode,
    *,
    sharing: Mapping[Path, Hosts] = NONE_SHARE,
    olddir: Path | None = None,
    rests: bool = False,
) -> LogSensor | None:
    """What reads the kernel's log of a node; None where the file names none."""
    path = entry.kernel_log
    if path is not None:
        hosts = _hosts(node, entry)
        return KernelLogFile(
            path, node=node, hosts=hosts, sharing=sharing.get(path), olddir=olddir, rests=rests
        )
    return own_log(node) if entry.local else None


def sharers(nodes: Iterable[tuple[str, ReadNode]]) -> dict[Path, Hosts]:
    """The names of the nodes whose lines stand in a log that several share, by its path."""
    names: dict[Path, list[tuple[str, ...]]] = {}
    for node, entry in nodes:
        if entry.kernel_log is not None:
            names.setdefault(entry.kernel_log, []).append(_hosts(node, entry))
    return {path: Hosts(chain(*found)) for path, found in names.items() if len(found) > 1}


def _hosts(node: str, entry: ReadNode) -> tuple[str, ...]:
    """The names under which a node's lines stand in a log."""
    names = entry.host or (node,)
    return (*names, socket.gethostname()) if entry.local else names


def own_log(node: str) -> LogSensor:
    """What reads this machine's own log: its ring where this process may, else the journal, where
    there is one."""
    ring = KernelRing(node=node)
    if not ring.is_refused() or shutil.which(ENTRIES[0]) is None:
        return ring
    return KernelJournal(node=node)


def hardware_sensors(
    node: str,
    *,
    gpus: int | None = None,
    nvml_every_us: int = 0,
    read_clock: ReadClock = kernel_clock,
) -> tuple[Sensor, ...]:
    """What this machine tells beside its kernel's log. `gpus` is how many it should have."""
    return (
        InfiniBand(node=node),
        MachineSensor(node=node, read_clock=read_clock),
        Nvml(node=node, expected=gpus, every_us=nvml_every_us),
    )


def engine_sensor(
    entry: EngineEntry,
    *,
    watched: frozenset[str] = frozenset(),
    needed: tuple[str, ...] = (),
) -> Sensor:
    """What the cluster's engine says of all its nodes. It must name one of `watched`, if any are
    given, and all of `needed`."""
    return SlurmNodes(
        command=entry.command,
        timeout_s=entry.timeout.total_seconds(),
        watched=watched,
        needed=needed,
    )
