"""A reading of a node's GPUs: one set of metrics, from NVML or from DCGM."""

import msgspec

from parkade.sensors.gpu.metric import Metric

SMALL_BLANK = range(0x7FFFFFF0, 0x80000000)
FLOAT_BLANK = 140_737_488_355_328.0
"""DCGM's values for 'blank', 'not found', 'not supported' and 'no permission' begin here."""


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
