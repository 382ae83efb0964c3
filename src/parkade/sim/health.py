"""The doors of a simulated pool to its hardware: sensors that read it, repairs that act on it.

A sensor gives what the hardware shows to the shipped parser, so symptoms are made as on a real
node. A repair takes its time, and passes, fails or hangs until its time-out, as the pool's weather
has it. `HealthPlan`, the judging of symptoms and the running of orders are the agent's own.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from parkade.agent.health import HealthPlan
from parkade.agent.timer import LoopTimer
from parkade.core.healing.incident import Grade, RepairKind, RepairOrder, RepairReport
from parkade.core.healing.policy import Policy
from parkade.core.healing.symptom import Symptom
from parkade.core.healing.topology import Surroundings
from parkade.ports import Sensor
from parkade.sensors.kernel_log.reading import read, symptom_of
from parkade.sensors.network.infiniband import PortMemory, port_symptoms
from parkade.sim.clocks import SimulatedClock
from parkade.sim.faults import PassBy, Weather
from parkade.sim.hardware import Hardware

POLL_S = 15.0
TIMEOUT_S = 600.0
"""After which a repair that hangs is ended and counts as failed."""
SPANS_S = {
    RepairKind.RESET: (2, 90),
    RepairKind.REBOOT: (60, 900),
    RepairKind.VALIDATE: (5, 60),
    RepairKind.SANITISE: (3, 180),
    RepairKind.TICKET: (1, 5),
}
LONG_FACTOR = 20
"""How much longer a long validation takes."""


class Carried(Protocol):
    """Told of each order that begins, and of each that ended."""

    def began(self, order: RepairOrder) -> None:
        """It is being carried out."""
        ...

    def repaired(self, order: RepairOrder, report: RepairReport) -> None:
        """So it ended on the machines."""
        ...


class Unseen:
    """Implements `Carried` for what has no judge."""

    def began(self, order: RepairOrder) -> None:
        """See `Carried`."""

    def repaired(self, order: RepairOrder, report: RepairReport) -> None:
        """See `Carried`."""


class KernelRingSensor:
    """Implements `ports.Sensor` over a node's simulated kernel log. A new agent's reads the ring
    from its beginning, as of a real kernel."""

    name = "kernel_log"
    state = "read"

    def __init__(self, node: str, hardware: Hardware, clock: SimulatedClock) -> None:
        self._node = node
        self._hardware = hardware
        self._clock = clock
        self._read = 0

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        found = []
        for number, loop_us, line in self._hardware.nodes[self._node].log:
            if number <= self._read:
                continue
            self._read = number
            at_us = min(self._clock.shown_us(loop_us), now_us)
            symptom = symptom_of(
                read(line), line, node=self._node, reporter=self._node, at_us=at_us
            )
            if symptom is not None:
                found.append(symptom)
        return found

    def close(self) -> None:
        """See `ports.Sensor`."""


class PortSensor:
    """Implements `ports.Sensor` over a node's simulated link."""

    name = "infiniband"
    state = "read"

    def __init__(self, node: str, hardware: Hardware, clock: SimulatedClock) -> None:
        self._node = node
        self._hardware = hardware
        self._clock = clock
        self._ports: tuple[PortMemory, ...] = ()

    def poll(self, now_us: int) -> list[Symptom]:
        """See `ports.Sensor`."""
        readings = self._hardware.ports(self._node, self._clock.steady_us())
        self._ports, symptoms = port_symptoms(self._ports, readings, now_us, node=self._node)
        return symptoms

    def close(self) -> None:
        """See `ports.Sensor`."""


class SimulatedRepairs:
    """Implements `ports.Repairs`. `pass_by` is awaited before and after: the agent may die."""

    def __init__(
        self,
        kinds: tuple[RepairKind, ...],
        hardware: Hardware,
        clock: SimulatedClock,
        weather: Weather,
        pass_by: PassBy,
        carried: Carried,
    ) -> None:
        self._kinds = kinds
        self._hardware = hardware
        self._clock = clock
        self._weather = weather
        self._pass_by = pass_by
        self._carried = carried
        self._timer = LoopTimer()

    @property
    def kinds(self) -> tuple[RepairKind, ...]:
        """See `ports.Repairs`."""
        return self._kinds

    async def carry_out(self, order: RepairOrder) -> RepairReport:
        """See `ports.Repairs`."""
        await self._pass_by()
        began_us, now_us = self._clock.now_us(), self._clock.steady_us()
        self._carried.began(order)
        weather = self._weather
        is_hung = weather.is_so(weather.repairs_until_us, now_us, 150)
        is_failing = weather.is_so(weather.repairs_until_us, now_us, 350)
        await self._timer.sleep(TIMEOUT_S if is_hung else self._span_s(order))
        is_done = not is_hung and not is_failing and self._hardware.repair(order)
        report = RepairReport(
            order=order.order,
            node=order.node,
            is_done=is_done,
            exit_code=None if is_hung else int(not is_done),
            says=f"simulated {order.kind.value}",
            began_us=began_us,
            ended_us=self._clock.now_us(),
        )
        self._carried.repaired(order, report)
        await self._pass_by()
        return report

    def _span_s(self, order: RepairOrder) -> float:
        least, most = SPANS_S[order.kind]
        factor = LONG_FACTOR if order.grade is Grade.LONG else 1
        return float(self._weather.chance.randint(least, most) * factor)


def plan_of(
    hardware: Hardware,
    clock: SimulatedClock,
    policy: Policy,
    repairs: SimulatedRepairs,
    surroundings: Sequence[Surroundings],
) -> HealthPlan:
    """What the agent of a simulated pool watches and may do."""
    makes: tuple[Callable[[str, Hardware, SimulatedClock], Sensor], ...] = (
        KernelRingSensor,
        PortSensor,
    )
    return HealthPlan(
        sensors={
            node: tuple(make(node, hardware, clock) for make in makes) for node in hardware.nodes
        },
        policy=policy,
        every_s=POLL_S,
        repairs=repairs,
        surroundings=tuple(surroundings),
    )
