"""InfiniBand ports from sysfs: a flap and a drop are two things, and counters are compared.

A port that is down for four minutes is *dropped*. A port that was down for at least 25 seconds and
came back three times within an hour *flaps*; a shorter blink is neither (GPUd's spans). Error
counters that no sound link raises are fatal by any rise, others by their rate (NVSentinel's). An
adapter that is not there in three readings running is *missing*.
"""

from pathlib import Path

import msgspec

from parkade.core.healing.symptom import (
    ConditionFact,
    Evidence,
    NodeCondition,
    Source,
    Symptom,
)
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US

PARSER = "infiniband/1"
ROOT = Path("/sys/class/infiniband")
MOST_PORTS = 256
MOST_CHARACTERS = 64
FATAL_COUNTERS = (
    "link_downed",
    "excessive_buffer_overrun_errors",
    "local_link_integrity_errors",
    "rnr_nak_retry_err",
)
"""Any rise is a symptom; a rise of link_downed alone is told by the port's state."""
RATES_PER_MINUTE = {
    "symbol_error": 600,
    "link_error_recovery": 5,
    "port_rcv_errors": 600,
    "local_ack_timeout_err": 60,
    "port_xmit_discards": 6_000,
    "roce_slow_restart": 600,
}


class PortReading(msgspec.Struct, frozen=True, kw_only=True):
    """One port; `is_active` as its logical state says, `is_disabled` where people have shut it."""

    port: str
    is_active: bool
    is_disabled: bool
    counters: dict[str, int]


class PortLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Spans of flap and drop."""

    drop_us: int = 4 * MINUTE_US
    flap_us: int = 25 * SECOND_US
    flaps: int = 3
    flap_window_us: int = HOUR_US
    missing_readings: int = 3


LIMITS = PortLimits()


class PortMemory(msgspec.Struct, frozen=True, kw_only=True):
    """`down_since_us` None while active; `flaps_us` are returns after being down for long
    enough."""

    port: str
    down_since_us: int | None
    flaps_us: tuple[int, ...]
    counters: dict[str, int]
    read_us: int
    missing: int


def read_ports(root: Path = ROOT) -> tuple[PortReading, ...] | None:
    """Every port of this machine, None where it has no such adapter at all."""
    if not root.is_dir():
        return None
    found = []
    for folder in sorted(root.glob("*/ports/*"))[:MOST_PORTS]:
        adapter, number = folder.parent.parent.name, folder.name
        state, physical = _word(folder / "state"), _word(folder / "phys_state")
        counters = {
            name: int(text)
            for group in ("counters", "hw_counters")
            for name in (*FATAL_COUNTERS, *RATES_PER_MINUTE)
            if (text := _word(folder / group / name)).isdecimal()
        }
        found.append(
            PortReading(
                port=f"{adapter}/{number}",
                is_active="ACTIVE" in state,
                is_disabled="Disabled" in physical,
                counters=counters,
            )
        )
    return tuple(found)


def port_symptoms(
    before: tuple[PortMemory, ...],
    readings: tuple[PortReading, ...],
    now_us: int,
    *,
    node: str,
) -> tuple[tuple[PortMemory, ...], list[Symptom]]:
    """What to remember and what is seen; grows with the ports."""
    known = {memory.port: memory for memory in before}
    memories, symptoms = [], []

    def see(port: str, condition: NodeCondition, amount: int | None, text: str) -> None:
        symptoms.append(_symptom(node, port, condition, amount, text, now_us))

    for reading in readings:
        old = known.pop(reading.port, None)
        memory = _remember(old, reading, now_us)
        memories.append(memory)
        down_us = memory.down_since_us
        if down_us is not None and now_us - down_us >= LIMITS.drop_us:
            seconds = (now_us - down_us) // SECOND_US
            see(reading.port, NodeCondition.LINK_DOWN, seconds, f"down for {seconds} s")
        came_back = old is not None and memory.flaps_us[-1:] != old.flaps_us[-1:]
        if came_back and len(memory.flaps_us) >= LIMITS.flaps:
            count = len(memory.flaps_us)
            see(reading.port, NodeCondition.LINK_FLAPPING, count, f"back for the {count}th time")
        if old is not None:
            for condition, rise, text in _rises(old, reading, now_us):
                see(reading.port, condition, rise, text)
    for gone in known.values():
        missing = gone.missing + 1
        memories.append(msgspec.structs.replace(gone, missing=missing))
        if missing >= LIMITS.missing_readings:
            text = f"not there in {missing} readings"
            see(gone.port, NodeCondition.ADAPTER_MISSING, missing, text)
    return tuple(memories), symptoms


def _remember(old: PortMemory | None, reading: PortReading, now_us: int) -> PortMemory:
    since_us = None if old is None else old.down_since_us
    flaps = () if old is None else old.flaps_us
    flaps = tuple(at_us for at_us in flaps if now_us - at_us < LIMITS.flap_window_us)
    if reading.is_active:
        if since_us is not None and now_us - since_us >= LIMITS.flap_us:
            flaps = (*flaps, now_us)[-LIMITS.flaps * 4 :]
        since_us = None
    elif reading.is_disabled:
        since_us = None
    elif since_us is None:
        since_us = now_us
    return PortMemory(
        port=reading.port,
        down_since_us=since_us,
        flaps_us=flaps,
        counters=reading.counters,
        read_us=now_us,
        missing=0,
    )


def _rises(
    old: PortMemory, reading: PortReading, now_us: int
) -> list[tuple[NodeCondition, int, str]]:
    found = []
    span_us = max(1, now_us - old.read_us)
    for name, value in reading.counters.items():
        rise = value - old.counters.get(name, value)
        if rise <= 0 or name == "link_downed":
            continue
        text = f"{name} rose by {rise} in {span_us / SECOND_US:.0f} s"
        if name in FATAL_COUNTERS:
            found.append((NodeCondition.LINK_ERRORS_FATAL, rise, text))
        elif rise > RATES_PER_MINUTE[name] * span_us / MINUTE_US:
            found.append((NodeCondition.LINK_ERRORS, rise, text))
    return found


def _symptom(
    node: str, port: str, condition: NodeCondition, amount: int | None, text: str, now_us: int
) -> Symptom:
    evidence = Evidence(
        line=f"{port}: {text}",
        source=Source.INFINIBAND,
        reporter=node,
        parser=PARSER,
        at_us=now_us,
    )
    fact = ConditionFact(condition=condition, amount=amount)
    return Symptom(node=node, device=port, fact=fact, job=None, evidence=evidence)


def _word(path: Path) -> str:
    """A file's short text, empty where it cannot be read."""
    try:
        with path.open(encoding="ascii", errors="replace") as handle:
            return handle.read(MOST_CHARACTERS).strip()
    except OSError:
        return ""
