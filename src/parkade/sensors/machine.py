"""The machine itself: disks nearly full, memory nearly gone, a clock that is off or not kept."""

import os
from pathlib import Path

import msgspec

from parkade.core.healing.symptom import (
    ConditionFact,
    Evidence,
    NodeCondition,
    Source,
    Symptom,
    bounded,
)
from parkade.core.units.time import SECOND_US
from parkade.sensors.clock import ClockReading

PARSER = "machine/1"
MOST_BYTES = 65_536
MEMINFO = Path("/proc/meminfo")


class MachineReading(msgspec.Struct, frozen=True, kw_only=True):
    """`disks` are (mount, used per cent, inodes used per cent); memory is the part available, per
    cent, None where it cannot be read."""

    at_us: int
    disks: tuple[tuple[str, int, int], ...]
    memory_available: int | None
    clock: ClockReading


class MachineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From these on a reading is a symptom."""

    disk_used: int = 95
    memory_available: int = 2
    skew_us: int = 2 * SECOND_US


LIMITS = MachineLimits()


def machine_symptoms(reading: MachineReading, *, node: str) -> list[Symptom]:
    """The symptoms of a reading."""
    found: list[tuple[str | None, NodeCondition, int | None, str]] = []
    for mount, used, inodes in reading.disks:
        if max(used, inodes) >= LIMITS.disk_used:
            text = f"{mount}: {used} % used, {inodes} % of inodes"
            found.append((bounded(mount, 64), NodeCondition.DISK_FULL, max(used, inodes), text))
    available = reading.memory_available
    if available is not None and available < LIMITS.memory_available:
        found.append(
            (None, NodeCondition.MEMORY_LOW, available, f"{available} % of memory is left")
        )
    skew_us = reading.clock.skew_us
    if skew_us is not None and abs(skew_us) >= LIMITS.skew_us:
        text = f"the clock is {skew_us / SECOND_US:+.1f} s off at least"
        found.append((None, NodeCondition.CLOCK_SKEW, abs(skew_us) // SECOND_US, text))
    if reading.clock.is_kept is False:
        text = "adjtimex: no time service keeps the clock"
        found.append((None, NodeCondition.CLOCK_NOT_KEPT, None, text))
    return [
        Symptom(
            node=node,
            device=device,
            fact=ConditionFact(condition=condition, amount=amount),
            job=None,
            evidence=Evidence(
                line=bounded(text),
                source=Source.HOST,
                reporter=node,
                parser=PARSER,
                at_us=reading.at_us,
            ),
        )
        for device, condition, amount, text in found
    ]


def read_machine(mounts: tuple[Path, ...], *, at_us: int, clock: ClockReading) -> MachineReading:
    """This machine; a mount that cannot be read is left out."""
    disks = []
    for mount in mounts:
        try:
            seen = os.statvfs(mount)
        except OSError:
            continue
        disks.append(
            (
                str(mount),
                _used(seen.f_blocks, seen.f_bavail),
                _used(seen.f_files, seen.f_favail),
            )
        )
    try:
        with MEMINFO.open(encoding="ascii", errors="replace") as handle:
            available = parse_meminfo(handle.read(MOST_BYTES))
    except OSError:
        available = None
    return MachineReading(at_us=at_us, disks=tuple(disks), memory_available=available, clock=clock)


def parse_meminfo(text: str) -> int | None:
    """The available part of memory in per cent, of /proc/meminfo."""
    values = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        word = rest.split(maxsplit=1)[0] if rest.split() else ""
        if word.isdecimal():
            values[name] = int(word[:18])
    total, available = values.get("MemTotal"), values.get("MemAvailable")
    if not total or available is None:
        return None
    return 100 * available // total


def _used(total: int, free: int) -> int:
    return 0 if total <= 0 else max(0, min(100, 100 - 100 * free // total))
