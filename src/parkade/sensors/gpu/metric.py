"""What is read of a GPU. Apart, so that the child that asks the driver imports little else."""

import enum


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
