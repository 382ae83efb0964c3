"""Sources of a scan: the journal stands in where the kernel's records cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from parkade.mars import sources
from parkade.sensors.kernel_log.journal import JournalError, journal_lines
from parkade.sensors.kernel_log.live import KernelRing

XID = "2025-01-21T04:41:44.285060+00:00 n1 kernel: NVRM: Xid (PCI:0000:3b:00): 79, gone"


class _Refused:
    def new(self) -> Iterator[str]:
        raise PermissionError(1, "Operation not permitted")

    def close(self) -> None:
        return


class _NoRing(KernelRing):
    def __init__(self, *, node: str) -> None:
        super().__init__(node=node, records=_Refused)


def test_the_journal_is_read_where_the_ring_may_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "KernelRing", _NoRing)
    found = sources.Sources(node="n1", now_us=0, journal=lambda: iter([XID]))
    symptoms = list(found.this_machine())
    assert "0000:3b:00" in {symptom.device for symptom in symptoms}
    states = {sensor.sensor: sensor.state for sensor in found.sensors}
    assert states["kernel_log"].startswith("read: from the journal, since the ring is failed")


def test_a_journal_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Iterator[str]:
        raise JournalError("journalctl cannot be run: No such file or directory")

    monkeypatch.setattr(sources, "KernelRing", _NoRing)
    found = sources.Sources(node="n1", now_us=0, journal=fail)
    list(found.this_machine())
    assert {sensor.state for sensor in found.sensors if sensor.sensor == "journal"} == {
        "failed: journalctl cannot be run: No such file or directory"
    }


def test_a_journal_that_does_not_end_is_ended_and_what_it_told_counts() -> None:
    words = f"echo '{XID}'; sleep 600"
    lines = journal_lines(("sh", "-c", f"exec >&1; {words} & wait"), most_s=0.5)
    assert next(lines) == XID
    with pytest.raises(JournalError, match="had not told all within"):
        list(lines)


def test_each_sensor_of_a_scan_is_named_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "KernelRing", _NoRing)
    told: list[str] = []

    @contextmanager
    def watch(sensor: str) -> Iterator[None]:
        told.append(f"begins {sensor}")
        yield
        told.append(f"ends {sensor}")

    found = sources.Sources(node="n1", now_us=0, journal=lambda: iter([XID]), watch=watch)
    list(found.this_machine())
    names = ("kernel_log", "journal", "infiniband", "machine", "nvml")
    assert told == [f"{word} {name}" for name in names for word in ("begins", "ends")]


def test_a_journal_without_a_line_is_not_taken_for_the_kernels_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "KernelRing", _NoRing)
    found = sources.Sources(node="n1", now_us=0, journal=lambda: iter(()))
    list(found.this_machine())
    states = {sensor.sensor: sensor.state for sensor in found.sensors}
    assert states["kernel_log"].startswith("failed") and states["journal"].startswith("failed")
