"""What two readings of a node's GPUs mean: the pure part of the NVML and DCGM sensors.

Levels are symptoms while they hold. Counters are symptoms by how much they rose between two
readings of the same driver; a counter that fell was reset and says nothing. The exporter's last Xid
is a gauge that keeps its value: only its change is news, and what repeats is counted from `xids`
alone. A GPU that was read before and is not there now is lost: absence is a symptom.
"""

from collections.abc import Iterator

import msgspec

from parkade.core.healing.symptom import (
    RECOVERY_ACTION_BY_NUMBER,
    ConditionFact,
    Evidence,
    Fact,
    NodeCondition,
    RecoveryAction,
    RecoveryFact,
    Source,
    Symptom,
    XidFact,
    bounded,
)
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.sensors.gpu.metric import Metric
from parkade.sensors.gpu.readings import GpuReading, NodeReading

THERMAL_REASONS = 0x20 | 0x40
POWER_BRAKE_REASON = 0x80
REPLAYS_PER_LANE_MINUTE = {3: 0.48, 4: 0.96, 5: 1.92}
"""DCGM's health watch: what a bit error rate of 1e-12 gives at each generation of PCIe."""
LANES = 16
OTHER_GENERATION = 1.92


class GpuLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From these on a reading is a symptom. Temperatures in degrees Celsius."""

    temperature: int = 90
    memory_temperature: int = 100
    rows_remapped: int = 11
    corrected_per_minute: int = 1_000
    nvlink_crc_per_second: int = 100


LIMITS = GpuLimits()


def gpu_symptoms(
    before: NodeReading | None,
    now: NodeReading,
    *,
    node: str,
    source: Source,
    parser: str,
    expected: int | None = None,
) -> list[Symptom]:
    """The symptoms of a reading. `expected` is how many GPUs the node should have."""
    previous = {} if before is None else {gpu.device: gpu for gpu in before.gpus}
    is_same_driver = before is not None and before.driver == now.driver
    span_us = 0 if before is None else now.at_us - before.at_us
    found: list[tuple[str | None, Fact, str]] = []
    for gpu in now.gpus:
        found += [(gpu.device, *each) for each in _levels(gpu)]
        old = previous.get(gpu.device)
        if old is not None and is_same_driver and span_us > 0:
            found += [(gpu.device, *each) for each in _rises(old, gpu, span_us)]
        found += [(gpu.device, *each) for each in _changes(old, gpu)]
    found += _absences(previous, now, expected)
    return [
        Symptom(
            node=node,
            device=device,
            fact=fact,
            job=None,
            evidence=Evidence(
                line=bounded(text), source=source, reporter=node, parser=parser, at_us=now.at_us
            ),
        )
        for device, fact, text in found
    ]


def _levels(gpu: GpuReading) -> Iterator[tuple[Fact, str]]:
    values = gpu.values
    for metric, condition, least in (
        (Metric.TEMPERATURE, NodeCondition.GPU_TEMPERATURE, LIMITS.temperature),
        (Metric.MEMORY_TEMPERATURE, NodeCondition.MEMORY_TEMPERATURE, LIMITS.memory_temperature),
        (Metric.ROW_REMAP_PENDING, NodeCondition.ROW_REMAP_PENDING, 1),
        (Metric.ROW_REMAP_FAILURE, NodeCondition.ROW_REMAP_FAILURE, 1),
        (Metric.SRAM_THRESHOLD, NodeCondition.SRAM_THRESHOLD, 1),
        (Metric.ROWS_REMAPPED, NodeCondition.ROW_REMAPS_MANY, LIMITS.rows_remapped),
    ):
        value = values.get(metric)
        if value is not None and value >= least:
            yield _condition(condition, value), f"{metric.value} is {value}, from {least} on"
    reasons = values.get(Metric.CLOCK_REASONS, 0)
    if reasons & THERMAL_REASONS:
        yield (
            _condition(NodeCondition.THERMAL_SLOWDOWN, reasons),
            f"clock event reasons are {reasons:#x}, which has heat in it",
        )
    if reasons & POWER_BRAKE_REASON:
        yield (
            _condition(NodeCondition.POWER_BRAKE, reasons),
            f"clock event reasons are {reasons:#x}, which has the power brake in it",
        )
    width, most = values.get(Metric.PCIE_WIDTH), values.get(Metric.PCIE_WIDTH_MOST)
    if width is not None and most is not None and 0 < width < most:
        yield _condition(NodeCondition.PCIE_WIDTH, width), f"PCIe x{width} of x{most}"


def _rises(old: GpuReading, gpu: GpuReading, span_us: int) -> Iterator[tuple[Fact, str]]:
    generation = gpu.values.get(Metric.PCIE_GENERATION, 0)
    per_minute = REPLAYS_PER_LANE_MINUTE.get(generation, OTHER_GENERATION) * LANES
    for metric, condition, rate, rate_span_us in (
        (Metric.ECC_UNCORRECTABLE, NodeCondition.ECC_UNCORRECTABLE, 0.0, MINUTE_US),
        (
            Metric.ECC_CORRECTABLE,
            NodeCondition.ECC_CORRECTABLE_RATE,
            float(LIMITS.corrected_per_minute),
            MINUTE_US,
        ),
        (Metric.PCIE_REPLAYS, NodeCondition.PCIE_REPLAYS, per_minute, MINUTE_US),
        (
            Metric.NVLINK_CRC,
            NodeCondition.NVLINK_ERRORS,
            float(LIMITS.nvlink_crc_per_second),
            SECOND_US,
        ),
        (Metric.NVLINK_RECOVERIES, NodeCondition.NVLINK_ERRORS, 0.0, MINUTE_US),
    ):
        was, value = old.values.get(metric), gpu.values.get(metric)
        if was is None or value is None or value <= was:
            continue
        rise = value - was
        if rise > rate * span_us / rate_span_us:
            seconds = span_us / SECOND_US
            yield _condition(condition, rise), f"{metric.value} rose by {rise} in {seconds:.1f} s"


def _changes(old: GpuReading | None, gpu: GpuReading) -> Iterator[tuple[Fact, str]]:
    number = gpu.values.get(Metric.RECOVERY_ACTION)
    was = None if old is None else old.values.get(Metric.RECOVERY_ACTION)
    if number is not None and number != (was or 0):
        action = RECOVERY_ACTION_BY_NUMBER.get(number, RecoveryAction.UNKNOWN)
        yield RecoveryFact(action=action), f"recovery action changed from {was} to {number}"
    for code, count in gpu.xids.items():
        counted = 0 if old is None else old.xids.get(code, 0)
        if count > counted:
            yield _xid(code), f"Xid {code} counted {count} times in the exporter's window"
    last = gpu.values.get(Metric.LAST_XID)
    if old is None or not last or last in gpu.xids:
        return
    if old.values.get(Metric.LAST_XID, last) != last:
        yield _xid(last), f"the last Xid changed to {last}"


def _absences(
    previous: dict[str, GpuReading], now: NodeReading, expected: int | None
) -> list[tuple[str | None, Fact, str]]:
    present = {gpu.device for gpu in now.gpus}
    unreadable = dict(now.failed)
    found: list[tuple[str | None, Fact, str]] = [
        (device, _condition(NodeCondition.GPU_LOST, None), f"GPU cannot be read: {words}")
        for device, words in now.failed
    ]
    found += [
        (
            device,
            _condition(NodeCondition.GPU_LOST, None),
            f"GPU {gpu.uuid or device} is not listed",
        )
        for device, gpu in previous.items()
        if device not in present and device not in unreadable
    ]
    count = len(present)
    if expected is not None and count < expected and not found:
        text = f"{count} of {expected} GPUs"
        found.append((None, _condition(NodeCondition.GPU_COUNT_DROPPED, count), text))
    return found


def _condition(condition: NodeCondition, amount: int | None) -> ConditionFact:
    return ConditionFact(condition=condition, amount=amount)


def _xid(code: int) -> XidFact:
    return XidFact(code=code, process_id=None, process=None, place=None)
