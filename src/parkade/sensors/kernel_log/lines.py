"""Plain kernel lines that mean trouble on a GPU node: an ordered table, the first match answers.

Each entry has a word that must stand in the line before its pattern is tried, so that an ordinary
line costs a few searches for a word. A line of a driver that is watched here but that no entry
knows is *unknown*; all others are *unrelated*.
"""

import re
from typing import NamedTuple

from parkade.core.healing.symptom import NodeCondition


class LineRule(NamedTuple):
    """`pattern` may name groups `device` and `amount`."""

    condition: NodeCondition
    word: str
    pattern: re.Pattern[str]


def _rule(condition: NodeCondition, word: str, pattern: str) -> LineRule:
    return LineRule(condition, word, re.compile(pattern))


_DEV = r"(?P<device>[A-Za-z0-9_.:/-]{1,64})"
_PCI = r"(?P<device>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-9a-fA-F])?)"
RULES: tuple[LineRule, ...] = (
    _rule(
        NodeCondition.GPU_LOST,
        "fallen off the bus",
        rf"(?:GPU(?: at PCI:{_PCI})?.{{0,40}})fallen off the bus",
    ),
    _rule(
        NodeCondition.GPU_INIT_FAILED,
        "NVRM",
        r"NVRM: (?:GPU (?P<device>[0-9a-fA-F:.]{4,32}): )?(?:RmInitAdapter failed|GPU .{0,40}"
        r"rm_init_adapter failed|.{0,40}failed to initialize)",
    ),
    _rule(
        NodeCondition.PEER_MEMORY,
        "nvidia-peermem",
        r"nvidia-peermem .{0,64}ERROR detected invalid context",
    ),
    _rule(
        NodeCondition.PCIE_WIDTH,
        "available PCIe bandwidth",
        rf"{_PCI}: \d{{1,4}}\.\d{{1,4}} Gb/s available PCIe bandwidth, limited by",
    ),
    _rule(
        NodeCondition.PCIE_ERROR, "AER:", rf"{_PCI}: AER: .{{0,80}}(?:Uncorrect|Fatal|Non-Fatal)"
    ),
    _rule(NodeCondition.PCIE_ERROR, "AER:", r"AER: (?:Multiple )?Uncorrect"),
    _rule(NodeCondition.PCIE_ERROR, "PCIe Bus", rf"{_PCI}: PCIe Bus Error: severity=Uncorrect"),
    _rule(
        NodeCondition.LINK_DOWN,
        "ink down",
        r"mlx5_core (?P<device>[0-9a-fA-F:.]{4,32})\b.{0,64}\b[Ll]ink down",
    ),
    _rule(
        NodeCondition.LINK_DOWN,
        "mlx5",
        r"(?P<device>mlx5_\d{1,3})\b.{0,64}\b(?:port \d{1,3} )?(?:state DOWN|port.{0,16}down)\b",
    ),
    _rule(
        NodeCondition.ADAPTER_MISSING,
        "mlx5_core",
        r"mlx5_core (?P<device>[0-9a-fA-F:.]{4,32})\b.{0,96}"
        r"(?:device's health compromised|health recovery failed|Fatal error|"
        r"unable to recover|PCI slot is unavailable)",
    ),
    _rule(
        NodeCondition.SOFT_LOCKUP,
        "soft lockup",
        r"soft lockup - CPU#\d{1,5} stuck for (?P<amount>\d{1,6})s",
    ),
    _rule(NodeCondition.SOFT_LOCKUP, "soft lockup", r"\bCPU soft lockup detected\b"),
    _rule(NodeCondition.SOFT_LOCKUP, "LOCKUP", r"\bdetected hard LOCKUP on cpu\b"),
    _rule(NodeCondition.SOFT_LOCKUP, "rcu", r"\brcu.{0,32}detected stalls? on\b"),
    _rule(
        NodeCondition.HUNG_TASK,
        "blocked for more than",
        r"\btask .{0,80}\bblocked for more than (?P<amount>\d{1,7}) seconds",
    ),
    _rule(
        NodeCondition.MACHINE_CHECK,
        "[Hardware Error]",
        r"\[Hardware Error\].{0,80}(?:[Uu]ncorrected|fatal|Fatal|Machine Check Exception)",
    ),
    _rule(
        NodeCondition.MACHINE_CHECK, "mce: Uncorrected", r"mce: Uncorrected hardware memory error"
    ),
    _rule(NodeCondition.MACHINE_CHECK, "EDAC", r"\bEDAC (?P<device>MC\d{1,3}): \d{1,9} UE\b"),
    _rule(
        NodeCondition.OUT_OF_MEMORY, "oom-kill", r"\binvoked oom-killer\b|\boom-kill:constraint="
    ),
    _rule(
        NodeCondition.OUT_OF_MEMORY, "ut of memory", r"\b(?:Memory cgroup o|O)ut of memory: Kill"
    ),
    _rule(
        NodeCondition.NVME_FAILED,
        "nvme",
        r"\b(?P<device>nvme\d{1,3}(?:n\d{1,3})?)\b.{0,96}(?:controller is down|I/O \d{1,9} .{0,40}"
        r"timeout|Device not ready|Removing after probe failure|no available path|failed to)",
    ),
    _rule(NodeCondition.NVME_FAILED, "no available path", r"\bno available path, I/O failing"),
    _rule(
        NodeCondition.RAID_FAILED,
        "raid",
        r"\bmd/raid.{0,80}(?:Disk failure|not enough operational)",
    ),
    _rule(
        NodeCondition.FILESYSTEM_READ_ONLY,
        "read-only",
        r"(?:\((?P<device>[A-Za-z0-9_.-]{1,64})\): )?[Rr]emount(?:ed|ing) (?:filesystem |as )?"
        r"read-only",
    ),
    _rule(
        NodeCondition.DISK_ERROR,
        "I/O error",
        rf"\b(?:[Bb]uffer )?I/O error(?:(?:,)? (?:on )?dev(?:ice)? {_DEV})?",
    ),
    _rule(
        NodeCondition.LIBRARY_CRASH,
        "segfault",
        r"\bsegfault at .{0,160}\bin (?P<device>lib(?:nccl|cuda|cudart|nvidia)[\w.-]{0,40})",
    ),
)
WATCHED = (
    "NVRM",
    "nvidia",
    "mlx5",
    "nvme",
    "nvswitch",
    "AER:",
    "Hardware Error",
    "blk_update",
)
"""Lines that name one of these and that no rule knows are kept for a person to look at."""
ORDINARY = (
    "ommand line: ",
    "NVRM: loading NVIDIA UNIX",
    "NVRM: GPU at PCI:",
    "NVRM: GPU Board Serial Number:",
    "NVRM: Persistence mode is deprecated",
    "taints kernel",
    "nvidia-nvlink: Nvlink Core is being initialized",
    "nvidia-modeset: Loading NVIDIA",
    "nvidia-uvm: Loaded the UVM driver",
    "[nvidia-drm]",
    "Initialized nvidia-drm",
)
"""What the kernel says of itself and drivers say of each start, or of whose Xid follows: no news.
The kernel's command line may hold secrets."""


def read_line(text: str) -> tuple[NodeCondition, str | None, int | None] | None:
    """Condition, device and amount of a plain line; None where no rule knows it."""
    for rule in RULES:
        if rule.word not in text:
            continue
        if found := rule.pattern.search(text):
            named = found.groupdict()
            amount = named.get("amount")
            return rule.condition, named.get("device"), int(amount) if amount else None
    return None


def is_watched(text: str) -> bool:
    """Whether a line comes from a driver that matters here, and is more than its start."""
    return any(word in text for word in WATCHED) and not any(word in text for word in ORDINARY)
