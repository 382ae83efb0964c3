"""Symptoms: what a sensor saw on a node or a device, with the line that proves it.

A symptom claims nothing about a cause. Its `fact` is a closed union; `signals_of` names it for the
policy table, from the most to the least specific name, so that an unknown code still has a rule.
"""

import enum
from typing import assert_never

import msgspec

MOST_LINE_CHARACTERS = 1_024
MOST_NAME_CHARACTERS = 128


class Source(enum.StrEnum):
    """Where a symptom was seen. Two different sources make a mass action credible."""

    KERNEL_LOG = "kernel_log"
    NVML = "nvml"
    DCGM = "dcgm"
    INFINIBAND = "infiniband"
    ENGINE = "engine"
    HOST = "host"
    WORKLOAD = "workload"


class Severity(enum.StrEnum):
    """What an NVSwitch line says of itself."""

    FATAL = "fatal"
    NON_FATAL = "non_fatal"
    UNSTATED = "unstated"


class RecoveryAction(enum.StrEnum):
    """What the driver asks for: Xid 154, NVML field 230, DCGM field 1523."""

    NONE = "none"
    RESET_GPU = "reset_gpu"
    REBOOT = "reboot"
    DRAIN_P2P = "drain_p2p"
    DRAIN_AND_RESET = "drain_and_reset"
    RECOVER_IMEX_DOMAIN = "recover_imex_domain"
    UNKNOWN = "unknown"


RECOVERY_ACTION_BY_NUMBER = {
    0: RecoveryAction.NONE,
    1: RecoveryAction.RESET_GPU,
    2: RecoveryAction.REBOOT,
    3: RecoveryAction.DRAIN_P2P,
    4: RecoveryAction.DRAIN_AND_RESET,
    5: RecoveryAction.RECOVER_IMEX_DOMAIN,
    6: RecoveryAction.RESET_GPU,
    7: RecoveryAction.REBOOT,
}
"""NVML's nvmlDeviceGpuRecoveryAction_t; 6 and 7 are its bus reset and its system reboot."""


class NodeCondition(enum.StrEnum):
    """What a sensor finds by reading a value or a plain line, where there is no vendor's code."""

    GPU_LOST = "gpu_lost"
    GPU_COUNT_DROPPED = "gpu_count_dropped"
    GPU_TEMPERATURE = "gpu_temperature"
    MEMORY_TEMPERATURE = "memory_temperature"
    THERMAL_SLOWDOWN = "thermal_slowdown"
    POWER_BRAKE = "power_brake"
    ECC_UNCORRECTABLE = "ecc_uncorrectable"
    ECC_CORRECTABLE_RATE = "ecc_correctable_rate"
    SRAM_THRESHOLD = "sram_threshold"
    ROW_REMAP_PENDING = "row_remap_pending"
    ROW_REMAP_FAILURE = "row_remap_failure"
    ROW_REMAPS_MANY = "row_remaps_many"
    NVLINK_ERRORS = "nvlink_errors"
    PCIE_REPLAYS = "pcie_replays"
    PCIE_WIDTH = "pcie_width"
    PCIE_ERROR = "pcie_error"
    GPU_INIT_FAILED = "gpu_init_failed"
    PEER_MEMORY = "peer_memory"
    SENSOR_HUNG = "sensor_hung"
    SENSOR_SILENT = "sensor_silent"
    LINK_DOWN = "link_down"
    LINK_FLAPPING = "link_flapping"
    LINK_ERRORS = "link_errors"
    LINK_ERRORS_FATAL = "link_errors_fatal"
    ADAPTER_MISSING = "adapter_missing"
    SOFT_LOCKUP = "soft_lockup"
    HUNG_TASK = "hung_task"
    OUT_OF_MEMORY = "out_of_memory"
    MACHINE_CHECK = "machine_check"
    NVME_FAILED = "nvme_failed"
    DISK_ERROR = "disk_error"
    FILESYSTEM_READ_ONLY = "filesystem_read_only"
    RAID_FAILED = "raid_failed"
    LIBRARY_CRASH = "library_crash"
    DISK_FULL = "disk_full"
    MEMORY_LOW = "memory_low"
    CLOCK_SKEW = "clock_skew"
    CLOCK_NOT_KEPT = "clock_not_kept"
    STRAGGLER = "straggler"
    ENGINE_NODE_DOWN = "engine_node_down"
    ENGINE_NODE_DRAINING = "engine_node_draining"


class XidFact(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="xid"):
    """A GPU driver's error code. `place` is a unit in the chip (`GPC 9 TPC 1`), if it is told."""

    code: int
    process_id: int | None
    process: str | None
    place: str | None


class NvlinkFact(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="nvlink"):
    """An NVLink 5 error (Xid 144 to 150): `interrupt` and `status` are the two registers that the
    catalogue's rules decode; `link` is -1 where it concerns all."""

    code: int
    unit: str
    is_fatal: bool
    link: int
    interrupt: int
    status: int


class SwitchFact(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="sxid"):
    """An NVSwitch error code; `link` where the line names one."""

    code: int
    severity: Severity
    link: int | None


class RecoveryFact(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="recovery"):
    """The driver asks for this repair of the device."""

    action: RecoveryAction


class ConditionFact(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="condition"):
    """A condition; `amount` is the reading in the condition's own unit, if there is one."""

    condition: NodeCondition
    amount: int | None


Fact = XidFact | NvlinkFact | SwitchFact | RecoveryFact | ConditionFact


class Evidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was seen, verbatim but bounded, and which version of which parser read it."""

    line: str
    source: Source
    reporter: str
    parser: str
    at_us: int


class Symptom(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One sighting. `device` is a PCI address without function, a port (`mlx5_0/1`), a disk or a
    mount; None is the node itself. `job` is what ran on the device, where the reporter knows."""

    node: str
    device: str | None
    fact: Fact
    job: str | None
    evidence: Evidence

    @property
    def at_us(self) -> int:
        """When it was seen."""
        return self.evidence.at_us


def signals_of(fact: Fact) -> tuple[str, ...]:
    """The names under which the policy table is asked, the most specific first."""
    match fact:
        case XidFact(code=code) | NvlinkFact(code=code):
            return (f"xid/{code}", "xid/unknown")
        case SwitchFact(code=code, severity=severity):
            return (f"sxid/{code}", f"sxid/{severity.value}")
        case RecoveryFact(action=action):
            return (f"recovery/{action.value}",)
        case ConditionFact(condition=condition):
            return (condition.value,)
        case _:
            assert_never(fact)


def bounded(text: str, most: int = MOST_LINE_CHARACTERS) -> str:
    """The text, cut to `most` characters, control characters made harmless."""
    if len(text) <= most and text.isprintable():
        return text
    clean = "".join(c if c.isprintable() else " " for c in text[: most + 1])
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
