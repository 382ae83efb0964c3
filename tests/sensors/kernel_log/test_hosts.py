"""Lines of a log name the host that wrote them: those of another machine blame no node."""

import json
from pathlib import Path

import pytest

from parkade.core.units.time import MINUTE_US
from parkade.ports import OtherLines
from parkade.sensors.kernel_log.hosts import Hosts
from parkade.sensors.kernel_log.live import KernelLogFile
from parkade.sensors.kernel_log.reading import read
from parkade.sensors.kernel_log.stamps import take_stamp
from tests.shared_data import shared_data

XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (f"Nov 27 10:00:00 gpu-7 kernel: {XID}", "gpu-7"),
        (f"Nov  7 10:00:00 gpu-7.example.org kernel: [ 12.5] {XID}", "gpu-7.example.org"),
        ("Nov 27 10:00:00 gpu-7 nvme nvme0: I/O 5 QID 3 timeout", "gpu-7"),
        (f"Nov 27 10:00:00 kernel: {XID}", None),
        (f"2026-11-27T10:00:00.1+00:00 gpu-7 kernel: {XID}", "gpu-7"),
        (f"2026-11-27T10:00:00+0000 10.0.0.7 kernel: {XID}", "10.0.0.7"),
        (f"2026-11-27T10:00:00,123456+00:00 {XID}", None),
        (f"kern  :warn  : 2026-11-27T10:00:00,123456+00:00 {XID}", None),
        (f"[Fri Nov 27 10:00:00 2026] {XID}", None),
        (f"[   12.5] {XID}", None),
        (f"<6>Nov 27 10:00:00 gpu-7 kernel: [ 12.5] {XID}", "gpu-7"),
        (f"<4>1 2026-11-27T10:00:00.123456Z gpu-7 kernel - - - {XID}", "gpu-7"),
        (f'<4>1 2026-11-27T10:00:00+01:00 gpu-7 kernel - - [a b="]"][c] [ 12.5] {XID}', "gpu-7"),
        (f"1 - gpu-7 - - - - {XID}", "gpu-7"),
        (f"Fri 2026-11-27 10:00:00 UTC gpu-7 kernel: {XID}", "gpu-7"),
        (f"Fri 2026-11-27 10:00:00.123456 +03 gpu-7 kernel: {XID}", "gpu-7"),
        (f"[   12.345678] gpu-7 kernel: {XID}", "gpu-7"),
        (f"[   12.345678 <    0.000012 >] gpu-7 kernel: {XID}", "gpu-7"),
        (f"1796724004.123456 gpu-7 kernel: {XID}", "gpu-7"),
        (f"gpu-7 kernel: {XID}", "gpu-7"),
        (f"gpu-7: [   12.345678] {XID}", "gpu-7"),
        (f"gpu-7: [Fri Nov 27 10:00:00 2026] {XID}", "gpu-7"),
        (f"front: Nov 27 10:00:00 gpu-7 kernel: {XID}", "gpu-7"),
        (f"gpu-7: {XID}", "gpu-7"),
        (f"kern.log:Nov 27 10:00:00 gpu-7 kernel: {XID}", "gpu-7"),
        (f"/var/log/kern.log:12:<4>1 2026-11-27T10:00:00Z gpu-7 kernel - - - {XID}", "gpu-7"),
        (f"Nov 27 10:00:00 gpu-7 kernel.warn: {XID}", "gpu-7"),
        (f"Nov 27 10:00:00 gpu-7 vmunix: [ 12.5] {XID}", "gpu-7"),
        (f"Nov 27 10:00:00 gpu-7 kern.warn kernel: {XID}", "gpu-7"),
        (f"kern  :warn  : [   12.345678] {XID}", None),
        (f"[   12.345678 <    0.000012>] {XID}", None),
        (f"4,1234,5678901,-;{XID}", None),
        (XID, None),
    ],
)
def test_the_host_of_a_line_is_read_in_each_form_that_has_one(line: str, host: str | None) -> None:
    stamped = take_stamp(line, year=2026)
    assert stamped.host == host
    assert XID in stamped.text or "nvme0" in stamped.text
    assert not read(line).is_unplaced


@pytest.mark.parametrize(
    "line",
    [
        f"gpu-7.log:[   12.345678] {XID}",
        f'{{"_HOSTNAME":"gpu-7","MESSAGE":"{XID}"}}',
        f"MESSAGE={XID}",
        f"gpu-7|kernel|{XID}",
        f"[   12.345678] at gpu-7, {XID}",
        "gpu-7,2026-11-27 10:00:00,kernel: nvme nvme0: controller is down; will reset",
        "Nov 27 2026 10:00:00 gpu-7 kernel: mlx5_core 0000:a1:00.0 ib0: Link down",
    ],
)
def test_a_line_that_may_name_a_machine_in_no_known_form_is_told_apart(line: str) -> None:
    seen = read(line, year=2026)
    assert seen.fact is not None and seen.host is None and seen.is_unplaced


def test_of_the_kernels_own_lines_none_is_unplaced() -> None:
    with shared_data("kernel_log_samples.jsonl").open(encoding="utf-8") as handle:
        samples = [json.loads(line)["line"] for line in handle]
    unplaced = [line for line in samples if read(line).is_unplaced]
    assert all(line.lstrip().startswith("Message:") for line in unplaced), unplaced


def test_a_line_of_no_known_form_blames_no_node_of_a_log_that_names_machines(
    tmp_path: Path,
) -> None:
    log = tmp_path / "all.log"
    odd = f"gpu-7|kernel|{XID}\n"
    log.write_text(odd)
    alone = KernelLogFile(log, node="gpu-1", from_end=False)
    assert len(alone.poll(MINUTE_US)) == 1
    alone.close()
    log.write_text(f"Nov 27 10:00:00 gpu-1 kernel: usb 1-1: reset\n{odd}")
    sensor = KernelLogFile(log, node="gpu-1", from_end=False)
    assert sensor.poll(MINUTE_US) == []
    assert sensor.others == OtherLines(1, ("",), 1, has_own=True)
    sensor.close()


@pytest.mark.parametrize(
    ("host", "name", "is_same"),
    [
        ("gpu-1", "gpu-1", True),
        ("GPU-1.example.org", "gpu-1", True),
        ("gpu-1", "gpu-1.example.org", True),
        ("gpu-1.example.org.", "gpu-1.example.org", True),
        ("gpu-1.a.org", "gpu-1.b.org", False),
        ("gpu-10", "gpu-1", False),
        ("gpu-1x.org", "gpu-1", False),
        ("10.0.0.7", "10", False),
        ("localhost", "gpu-1", False),
    ],
)
def test_short_and_full_names_are_one_host(host: str, name: str, is_same: bool) -> None:
    assert Hosts((name,)).has(host) is Hosts((host,)).has(name) is is_same
    assert Hosts(("other", name)).has(host) is Hosts((host, "other.org")).has(name) is is_same


@pytest.mark.parametrize(
    ("hosts", "seen", "left_out"),
    [
        ((), ["0000:01:00", "0000:04:00"], (2, ("gpu-7", "10.0.0.9"))),
        (("gpu-7", "10.0.0.9"), ["0000:02:00", "0000:03:00", "0000:04:00"], (1, ("gpu-1",))),
    ],
)
def test_lines_of_other_hosts_are_counted_and_left_out(
    tmp_path: Path, hosts: tuple[str, ...], seen: list[str], left_out: tuple[int, tuple[str, ...]]
) -> None:
    log = tmp_path / "all.log"
    log.write_text(
        "Nov 27 10:00:00 gpu-1 kernel: NVRM: Xid (PCI:0000:01:00): 79, pid=1, off\n"
        "Nov 27 10:00:00 gpu-7 kernel: NVRM: Xid (PCI:0000:02:00): 79, pid=1, off\n"
        "2026-11-27T10:00:00+00:00 10.0.0.9 kernel: NVRM: Xid (PCI:0000:03:00): 79, pid=1, off\n"
        "[   12.5] NVRM: Xid (PCI:0000:04:00): 79, pid=1, off\n"
    )
    sensor = KernelLogFile(log, node="gpu-1", from_end=False, hosts=hosts)
    assert [each.device for each in sensor.poll(MINUTE_US)] == seen
    assert (sensor.others.lines, sensor.others.hosts) == left_out
    assert sensor.tally.symptoms == len(seen), "they count as nothing else"
    sensor.close()


def test_in_a_shared_log_a_line_is_its_machines_and_one_without_a_name_nobodys(
    tmp_path: Path,
) -> None:
    log = tmp_path / "all.log"
    off = "NVRM: Xid (PCI:0000:0{}:00): 79, pid=1, off\n"
    log.write_text(
        f"Nov 27 10:00:00 gpu-1 kernel: {off.format(1)}"
        f"Nov 27 10:00:00 gpu-2.org kernel: {off.format(2)}"
        f"Nov 27 10:00:00 ghost kernel: {off.format(3)}"
        f"[   12.5] {off.format(4)}"
    )
    sharing = Hosts(("gpu-1", "gpu-2"))
    for node, device in (("gpu-1", "0000:01:00"), ("gpu-2", "0000:02:00")):
        sensor = KernelLogFile(log, node=node, from_end=False, sharing=sharing)
        assert [each.device for each in sensor.poll(MINUTE_US)] == [device]
        assert sensor.others == OtherLines(2, ("ghost", ""), 2, has_own=True)
        sensor.close()


def test_two_full_names_under_one_short_one_are_neither() -> None:
    """Else a node would be drained for the fault of another domain's machine."""
    hosts = Hosts(["gpu-1", "gpu-2.prod.example.org", "10.0.0.7"])
    assert hosts.has("gpu-1.prod.example.org") and hosts.has("GPU-1.prod.example.org.")
    assert not hosts.has("gpu-1.test.example.org")
    assert not hosts.has("gpu-1.prod.example.org")
    assert hosts.has("gpu-1"), "the name itself is"
    assert hosts.has("gpu-2.prod.example.org") and not hosts.has("gpu-2.test.example.org")
    assert hosts.has("gpu-2.prod.example.org")
