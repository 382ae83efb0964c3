"""What is wrong with the nodes of a pool, whatever any sensor says, and what each org left there.

A fault writes lines into its node's kernel log, in the words of real drivers. A
repair of the right kind ends it; a fault of the board ends only where a person changes it. Links go
down and come back. Nothing here knows what Parkade decides.

Instants are those of the loop.
"""

from collections import deque
from dataclasses import dataclass, field

from parkade.core.healing.incident import Grade, RepairKind, RepairOrder
from parkade.ports import NodeShape
from parkade.sensors.network.infiniband import PortReading

RING = 200
"""Lines that a node's log holds; the oldest are overwritten, as in a kernel's ring."""
PORT = "mlx5_0/1"
DEVICE = "0000:3b:00"
XIDS = {
    13: "13, pid=4242, name=python3, Graphics SM Warp Exception on (GPC 9, TPC 1, SM 0)",
    31: "31, pid=4242, name=python3, Ch 00000008, MMU Fault: ENGINE GRAPHICS",
    48: "48, pid='<unknown>', name=<unknown>, DBE (double bit error) ECC Error",
    63: "63, pid='<unknown>', name=<unknown>, Row Remapper: New row marked for remapping",
    79: "79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
    94: "94, pid=4242, name=python3, Contained ECC error",
    95: "95, pid=4242, name=python3, Uncontained ECC error",
    119: "119, pid=4343, name=python3, Timeout after 6s of waiting for RPC response",
    154: "154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
}
"""What follows the device in a line of the driver, by its code."""


def xid_line(code: int, device: str = DEVICE) -> str:
    """A line as the GPU's driver writes it."""
    return f"NVRM: Xid (PCI:{device}): {XIDS[code]}"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`mended_by`: the repairs that end it, none for a fault of the board. `is_hidden`: a short
    validation does not find it."""

    lines: tuple[str, ...]
    mended_by: frozenset[RepairKind]
    is_hidden: bool = False


@dataclass(kw_only=True)
class NodeHardware:
    """One node. `log`: (its number, the instant, the line); `residue`: orgs whose remains are
    there; `down_until_us`: its port has no link until then."""

    log: deque[tuple[int, int, str]] = field(default_factory=lambda: deque(maxlen=RING))
    written: int = 0
    faults: list[Fault] = field(default_factory=list)
    residue: set[str] = field(default_factory=set)
    down_until_us: int = 0


class Hardware:
    """The nodes of a pool."""

    def __init__(self, nodes: tuple[NodeShape, ...]) -> None:
        self.nodes = {node.node: NodeHardware() for node in nodes}

    def begin(self, node: str, fault: Fault, now_us: int) -> None:
        """The node has this fault from now on, and its log says so."""
        self.nodes[node].faults.append(fault)
        for line in fault.lines:
            self.write(node, line, now_us)

    def write(self, node: str, line: str, now_us: int) -> None:
        """A line of its kernel."""
        hardware = self.nodes[node]
        hardware.written += 1
        hardware.log.append((hardware.written, now_us, line))

    def change_board(self, node: str) -> None:
        """A person changed what was broken."""
        self.nodes[node].faults.clear()

    def ports(self, node: str, now_us: int) -> tuple[PortReading, ...]:
        """Its ports as sysfs would show them."""
        is_active = now_us >= self.nodes[node].down_until_us
        return (PortReading(port=PORT, is_active=is_active, is_disabled=False, counters={}),)

    def repair(self, order: RepairOrder) -> bool:
        """What an order does to the node, and whether it passed; nothing else failed."""
        hardware = self.nodes[order.node]
        match order.kind:
            case RepairKind.RESET | RepairKind.REBOOT:
                left = [it for it in hardware.faults if order.kind not in it.mended_by]
                hardware.faults = left
            case RepairKind.VALIDATE:
                is_short = order.grade is Grade.SHORT
                return all(is_short and it.is_hidden for it in hardware.faults)
            case RepairKind.SANITISE:
                hardware.residue.clear()
            case RepairKind.TICKET:
                pass
        return True
