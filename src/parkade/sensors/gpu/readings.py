"""A reading of a node's GPUs: one set of metrics, from NVML or from DCGM."""

import enum

import msgspec

INTEGER_BLANK = 0x7FFFFFFFFFFFFFF0
SMALL_BLANK = range(0x7FFFFFF0, 0x80000000)
FLOAT_BLANK = 140_737_488_355_328.0
"""DCGM's values for 'blank', 'not found', 'not supported' and 'no permission' begin here."""


class Metric(enum.StrEnum):
    """What is read. Counters only rise while the driver is loaded; the others are levels."""

    TEMPERATURE = "temperature"
    MEMORY_TEMPERATURE = "memory_temperature"
    CLOCK_REASONS = "clock_reasons"
    ECC_UNCORRECTABLE = "ecc_uncorrectable"
    ECC_CORRECTABLE = "ecc_correctable"
    SRAM_THRESHOLD = "sram_threshold"
    ROWS_REMAPPED = "rows_remapped"
    ROW_REMAP_PENDING = "row_remap_pending"
    ROW_REMAP_FAILURE = "row_remap_failure"
    PCIE_REPLAYS = "pcie_replays"
    PCIE_WIDTH = "pcie_width"
    PCIE_WIDTH_MOST = "pcie_width_most"
    PCIE_GENERATION = "pcie_generation"
    NVLINK_CRC = "nvlink_crc"
    NVLINK_RECOVERIES = "nvlink_recoveries"
    RECOVERY_ACTION = "recovery_action"
    LAST_XID = "last_xid"


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU. `values` has only what could be read; `xids` counts codes in the exporter's
    window."""

    device: str
    uuid: str | None
    values: dict[Metric, int]
    xids: dict[int, int]


class NodeReading(msgspec.Struct, frozen=True, kw_only=True):
    """All GPUs of a node at an instant. `driver` is its version; `failed` are devices that are
    listed but cannot be read, each with the driver's words."""

    at_us: int
    driver: str | None
    gpus: tuple[GpuReading, ...]
    failed: tuple[tuple[str, str], ...]


def as_value(number: float) -> int | None:
    """A whole value, None where the number stands for 'no data'."""
    if number != number or number in (float("inf"), float("-inf")):
        return None
    if number >= FLOAT_BLANK or int(number) in SMALL_BLANK:
        return None
    return round(number)
