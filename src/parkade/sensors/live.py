"""What this machine and its cluster's engine tell: `ports.Sensor` around pure parsers.

A sensor keeps what it needs to compare two readings and is polled by one thread. Those of the
kernel's log and of GPUs stand beside their parsers.
"""

from pathlib import Path

from parkade.core.healing.symptom import Symptom, bounded
from parkade.sensors.clock import ReadClock, kernel_clock
from parkade.sensors.command import CommandError, output_of
from parkade.sensors.machine import machine_symptoms, read_machine
from parkade.sensors.network.infiniband import ROOT, PortMemory, port_symptoms, read_ports
from parkade.sensors.polling import READ
from parkade.sensors.slurm_nodes import COMMAND, read_nodes

ENGINE_REPORTER = "engine"
"""The reporter that speaks for every node of an engine."""
MOUNTS = (Path("/"), Path("/tmp"), Path("/var"))


class InfiniBand:
    """The InfiniBand ports of this machine."""

    name = "infiniband"

    def __init__(self, *, node: str, root: Path = ROOT) -> None:
        self.state = READ
        self._node = node
        self._root = root
        self._ports: tuple[PortMemory, ...] = ()

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        readings = read_ports(self._root)
        self.state = READ
        if readings is None:
            self.state = f"absent: {self._root} is not there"
        elif not readings and not self._ports:
            self.state = f"absent: {self._root} has no port"
        self._ports, symptoms = port_symptoms(self._ports, readings or (), now_us, node=self._node)
        return symptoms

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


class SlurmNodes:
    """What Slurm says of its nodes. `command` prints them as `slurm_nodes.COMMAND` does. `watched`
    and `needed`: see `slurm_nodes.read_nodes`."""

    name = "engine"

    def __init__(
        self,
        *,
        command: tuple[str, ...] = COMMAND,
        timeout_s: float = 30.0,
        watched: frozenset[str] = frozenset(),
        needed: tuple[str, ...] = (),
    ) -> None:
        self.state = READ
        self._watched = watched
        self._needed = needed
        self._command = command
        self._timeout_s = timeout_s

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`; where Slurm does not answer, nothing is said of any node."""
        try:
            text = output_of(self._command, timeout_s=self._timeout_s)
        except CommandError as error:
            self.state = f"failed: {bounded(str(error))}"
            return []
        seen = read_nodes(
            text,
            reporter=ENGINE_REPORTER,
            at_us=now_us,
            watched=self._watched,
            needed=self._needed,
        )
        self.state = READ if seen.why is None else f"failed: {self._command[0]}: {seen.why}"
        return seen.symptoms

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""


class MachineSensor:
    """Disks, memory and clock of this machine."""

    name = "machine"

    def __init__(
        self,
        *,
        node: str,
        mounts: tuple[Path, ...] = MOUNTS,
        read_clock: ReadClock = kernel_clock,
    ) -> None:
        self.state = READ
        self._node = node
        self._mounts = mounts
        self._read_clock = read_clock

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        reading = read_machine(self._mounts, at_us=now_us, clock=self._read_clock())
        return machine_symptoms(reading, node=self._node)

    def close(self) -> None:
        """See `ports.Sensor`; nothing is held open."""
