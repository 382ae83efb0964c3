"""Kernel lines: every form of a code, plain lines, stamps, and lines that nothing knows."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.healing.symptom import (
    MOST_LINE_CHARACTERS,
    ConditionFact,
    Fact,
    NodeCondition,
    NvlinkFact,
    RecoveryAction,
    RecoveryFact,
    Severity,
    SwitchFact,
    XidFact,
)
from parkade.sensors.kernel_log.codes import RECOVERY_XID, device_of
from parkade.sensors.kernel_log.reading import LineTally, read, symptom_of
from parkade.sensors.kernel_log.stamps import take_stamp
from tests.shared_data import shared_data

RECORDED = Path(__file__).parents[1] / "recorded"
# Lines that are labelled as trouble but say nothing: cut off, or a sentence of a test.
SAY_NOTHING = {"segfault at 7f797fe00000 ip 00007f7c7ac69996", "soft lockup with different process"}


def xid_of(fact: Fact | None) -> int | None:
    match fact:
        case XidFact(code=code) | NvlinkFact(code=code):
            return code
        case RecoveryFact():
            return RECOVERY_XID
        case _:
            return None


def test_of_recorded_lines_no_xid_is_missed_and_none_is_invented() -> None:
    with shared_data("kernel_log_samples.jsonl").open(encoding="utf-8") as handle:
        samples = [json.loads(line) for line in handle]
    assert len(samples) > 200
    for sample in samples:
        fact = read(sample["line"]).fact
        assert xid_of(fact) == (sample["code"] if sample["kind"] == "xid" else None), sample
        assert isinstance(fact, SwitchFact) == (sample["kind"] == "sxid"), sample
        if isinstance(fact, SwitchFact):
            assert fact.code == sample["code"]
        if sample["kind"] == "other" and sample["line"] not in SAY_NOTHING:
            assert isinstance(fact, ConditionFact), sample


LABELS = {
    "segfault": {NodeCondition.LIBRARY_CRASH},
    "peermem": {NodeCondition.PEER_MEMORY},
    "hung_task": {NodeCondition.HUNG_TASK},
    "soft_lockup": {NodeCondition.SOFT_LOCKUP},
    "oom": {NodeCondition.OUT_OF_MEMORY},
    "disk_io": {NodeCondition.DISK_ERROR, NodeCondition.NVME_FAILED},
}


def test_recorded_plain_lines_are_read_as_what_they_are_labelled() -> None:
    with shared_data("kernel_log_samples.jsonl").open(encoding="utf-8") as handle:
        samples = [json.loads(line) for line in handle]
    for sample in samples:
        fact = read(sample["line"]).fact
        if isinstance(fact, ConditionFact):
            assert fact.condition in LABELS[sample["label"]], sample


@pytest.mark.parametrize(
    ("line", "device", "fact"),
    [
        (
            "NVRM: Xid (PCI:0000:3b:00): 31, pid=4242, name=python3, Ch 00000008",
            "0000:3b:00",
            XidFact(code=31, process_id=4242, process="python3", place=None),
        ),
        (
            "NVRM: Xid (PCI:0000:3B:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off",
            "0000:3b:00",
            XidFact(code=79, process_id=None, process=None, place=None),
        ),
        (
            "NVRM: Xid (0000:03:00): 14, Channel 00000001",
            "0000:03:00",
            XidFact(code=14, process_id=None, process=None, place=None),
        ),
        (
            (
                "NVRM: Xid (PCI:0000:38:00): 13, pid=1, name=a b, Graphics SM Warp Exception on"
                " (GPC 9, TPC 1, SM 0): Out Of Range Address"
            ),
            "0000:38:00",
            XidFact(code=13, process_id=1, process="a b", place="GPC 9 TPC 1"),
        ),
        (
            (
                "NVRM: Xid (PCI:0018:01:00): 145, pid=7, name=ray::W, RLW_RXPIPE Nonfatal XC0 i0"
                " Link 13 (0x0409a0c2 0x00000008 0x00000001 0x0 0x0 0x4)"
            ),
            "0018:01:00",
            NvlinkFact(
                code=145,
                unit="RLW_RXPIPE",
                is_fatal=False,
                link=13,
                interrupt=0x0409A0C2,
                status=8,
            ),
        ),
        (
            "NVRM: Xid (PCI:0008:01:00): 149, NETIR Fatal XC0 i0 Link -1 (0x000fe406 0x00000000)",
            "0008:01:00",
            NvlinkFact(code=149, unit="NETIR", is_fatal=True, link=-1, interrupt=0xFE406, status=0),
        ),
        (
            (
                "NVRM: Xid (PCI:0000:0a:00): 74, pid=9, name=p, NVLink: fatal error detected on"
                " link 6(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)"
            ),
            "0000:0a:00",
            NvlinkFact(code=74, unit="LINK", is_fatal=True, link=6, interrupt=0x10000, status=0),
        ),
        (
            (
                "NVRM: Xid (PCI:0009:01:00): 154, GPU recovery action changed from 0x0 (None) to"
                " 0x4 (Drain and Reset)"
            ),
            "0009:01:00",
            RecoveryFact(action=RecoveryAction.DRAIN_AND_RESET),
        ),
        (
            "NVRM: Xid (PCI:0009:01:00): 154, something new",
            "0009:01:00",
            RecoveryFact(action=RecoveryAction.UNKNOWN),
        ),
        (
            "nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
            "0000:a9:00",
            SwitchFact(code=20034, severity=Severity.FATAL, link=30),
        ),
        (
            "NVRM: GPU at PCI:0000:3b:00: GPU-aa has fallen off the bus.",
            "0000:3b:00",
            ConditionFact(condition=NodeCondition.GPU_LOST, amount=None),
        ),
        (
            (
                "pci 0000:3b:00.0: 63.008 Gb/s available PCIe bandwidth, limited by 8.0 GT/s PCIe"
                " x8 link at 0000:3a:00.0 (capable of 252.048 Gb/s with 16.0 GT/s PCIe x16 link)"
            ),
            "0000:3b:00",
            ConditionFact(condition=NodeCondition.PCIE_WIDTH, amount=None),
        ),
        (
            "mlx5_core 0000:a1:00.0 ibp161s0: Link down",
            "0000:a1:00.0",
            ConditionFact(condition=NodeCondition.LINK_DOWN, amount=None),
        ),
        (
            "nvme nvme1: controller is down; will reset: CSTS=0xffffffff",
            "nvme1",
            ConditionFact(condition=NodeCondition.NVME_FAILED, amount=None),
        ),
        (
            "EXT4-fs (nvme0n1p2): Remounting filesystem read-only",
            "nvme0n1p2",
            ConditionFact(condition=NodeCondition.FILESYSTEM_READ_ONLY, amount=None),
        ),
        (
            "watchdog: BUG: soft lockup - CPU#18 stuck for 27s! [python3:2254956]",
            None,
            ConditionFact(condition=NodeCondition.SOFT_LOCKUP, amount=27),
        ),
        (
            "INFO: task jfsmount:136986 blocked for more than 120 seconds.",
            None,
            ConditionFact(condition=NodeCondition.HUNG_TASK, amount=120),
        ),
    ],
)
def test_each_form_is_read(line: str, device: str | None, fact: Fact) -> None:
    seen = read(line)
    assert (seen.device, seen.fact) == (device, fact)


@pytest.mark.parametrize(
    "line",
    [
        "usb 1-1: new high-speed USB device number 2",
        "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  570.86",
        "nvidia 0000:3b:00.0: vgaarb: VGA decodes changed",
        "python3[12]: segfault at 0 ip 0 sp 0 error 4 in libc.so.6",
        "the user wrote: Xid (maybe) 79",
        "",
    ],
)
def test_other_lines_are_no_symptom(line: str) -> None:
    assert read(line).fact is None


def test_of_a_real_log_the_faults_are_found_and_a_drivers_start_is_not_unknown() -> None:
    tally, codes = LineTally(), []
    for line in (RECORDED / "kernel-h100-580.txt").read_text("utf-8").splitlines():
        seen = read(line)
        tally.add(seen, line)
        if isinstance(seen.fact, XidFact):
            assert seen.device == "0000:00:06"
            codes.append((seen.fact.code, seen.fact.process_id, seen.fact.process))
    assert codes[:5] == [
        (31, 582, "python"),
        (13, None, None),
        (13, None, None),
        (13, 592, "python"),
        (43, 598, "python"),
    ]
    assert [code for code, _, _ in codes[5:]] == [31, 13, 13, 13, 43, 43, 31]
    (kept,) = tally.kept
    assert "FBHUB Interrupt detected" in kept and tally.unknown == 1


def test_the_kernels_command_line_is_not_kept_whatever_it_names() -> None:
    for head in ("Command line:", "Kernel command line:"):
        seen = read(f"[    0.000000] {head} driver_async_probe=mlx5_core nvidia.key=secret")
        assert seen.fact is None and not seen.is_unknown


def test_an_unknown_line_of_a_watched_driver_is_counted_and_kept() -> None:
    tally = LineTally()
    for line in ("NVRM: a message that no rule knows", "usb 1-1: reset", "NVRM: Xid (0:3:0): 79"):
        tally.add(read(line), line)
    assert (tally.lines, tally.symptoms, tally.unknown) == (3, 1, 1)
    assert list(tally.kept) == ["NVRM: a message that no rule knows"]


@pytest.mark.parametrize(
    ("line", "at_us"),
    [
        ("[  12.345678] NVRM: x", 12_345_678),
        ("4,1234,5678901,-;NVRM: x", 5_678_901),
        ("[Sun Feb 23 16:24:18 2025] NVRM: x", 1_740_327_858_000_000),
        ("kern  :warn  : 2025-01-21T04:41:44,285060+00:00 NVRM: x", 1_737_434_504_285_060),
        ("2025-01-21T04:41:44.285+01:00 node7 kernel: NVRM: x", 1_737_430_904_285_000),
        ("Jan 21 04:41:44 node7 kernel: [ 8.5] NVRM: x", 1_737_434_504_000_000),
        ("Tue 2025-01-21 04:41:44 UTC node7 kernel: NVRM: x", 1_737_434_504_000_000),
        ("Tue 2025-01-21 04:41:44.5 +01 node7 kernel: NVRM: x", 1_737_430_904_500_000),
        ("1737434504.285060 node7 kernel: NVRM: x", 1_737_434_504_285_060),
        ("<4>1 2025-01-21T04:41:44.285+01:00 node7 kernel - - - NVRM: x", 1_737_430_904_285_000),
        ("<4>Jan 21 04:41:44 node7 kernel: NVRM: x", 1_737_434_504_000_000),
        ("node7: [  12.345678] NVRM: x", 12_345_678),
        ("[Sun Feb 31 16:24:18 2025] NVRM: x", None),
        ("NVRM: x", None),
    ],
)
def test_each_form_of_a_stamp_is_read(line: str, at_us: int | None) -> None:
    assert read(line, year=2025).at_us == at_us


@pytest.mark.parametrize(
    ("address", "device"),
    [
        ("PCI:0000:3B:00", "0000:3b:00"),
        ("00000000:3b:00.0", "0000:3b:00"),
        ("3b:00.0", "0000:3b:00"),
        ("0018:01:00", "0018:01:00"),
        ("nonsense", "nonsense"),
    ],
)
def test_one_device_has_one_name(address: str, device: str) -> None:
    assert device_of(address) == device


PIECES = st.sampled_from(
    [
        "NVRM: Xid (PCI:", "0000:3b:00", "): ", "79", "145", ", ", "pid=", "name=", "RLW_REMAP",
        " Fatal XC0 i0 Link 03 (0x", "SXid (", "[", "12.5", "] ", "4,1,2,-;", "segfault at ",
        "Buffer I/O error on dev ", "\x00", "\n", "é", "(GPC 1, TPC 2", "to 0x4",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=40).map("".join))
def test_no_line_breaks_the_reader_and_evidence_is_bounded(line: str) -> None:
    seen = read(line)
    symptom = symptom_of(seen, line, node="n1", reporter="n1", at_us=0)
    assert (symptom is None) == (seen.fact is None)
    if symptom is not None:
        assert len(symptom.evidence.line) <= MOST_LINE_CHARACTERS
        assert symptom.device is None or len(symptom.device) <= 128


@given(st.integers(0, 10**6), st.sampled_from(["a", "=", "(", "0x", " ", "PCI:", ","]))
def test_a_very_long_line_is_read_only_to_its_bound(length: int, piece: str) -> None:
    line = ("NVRM: Xid (PCI:0000:3b:00): 31, " + piece * length)[:1_000_000]
    assert xid_of(read(line).fact) == 31


@pytest.mark.parametrize(
    "line",
    [
        "Nov 27 13:00:00 gpu-1 alice[77]: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, off",
        "Nov 27 13:00:00 gpu-1 logger: kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, off",
        "2026-11-27T13:00:00.1+00:00 gpu-1 my-prog[3]: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, off",
        "2026-11-27T13:00:00+0000 gpu-1 prog: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, off",
        "<14>1 2026-11-27T13:00:00Z gpu-1 prog 77 - - NVRM: Xid (PCI:0000:3b:00): 79, pid=1, off",
        "Fri 2026-11-27 13:00:00 UTC gpu-1 prog[3]: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, off",
        "[   12.345678] gpu-1 prog[3]: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, off",
    ],
)
def test_what_a_program_wrote_to_syslog_is_no_line_of_the_kernel(line: str) -> None:
    stamped = take_stamp(line, year=2026)
    assert stamped.at_us is not None and stamped.text == "" and stamped.is_program


def test_a_program_that_crashed_is_named_by_the_kernel_whatever_its_name() -> None:
    seen = read("[   12.345678] my worker[77]: segfault at 0 ip 0 sp 0 error 4 in libcuda.so.1")
    assert seen.fact == ConditionFact(condition=NodeCondition.LIBRARY_CRASH, amount=None)


@pytest.mark.parametrize(
    "line",
    [
        "Nov 27 13:00:00 gpu-1 kernel: nvme nvme0: I/O 5 QID 3 timeout",
        "2026-11-27T13:00:00.1+00:00 gpu-1 kernel: [ 12.5] nvme nvme0: I/O 5 QID 3 timeout",
        "2026-11-27T13:00:00,123456+00:00 nvme nvme0: I/O 5 QID 3 timeout",
        "[Fri Nov 27 13:00:00 2026] nvme nvme0: I/O 5 QID 3 timeout",
    ],
)
def test_what_the_kernel_wrote_is_read_in_each_form(line: str) -> None:
    assert take_stamp(line, year=2026).text == "nvme nvme0: I/O 5 QID 3 timeout"
