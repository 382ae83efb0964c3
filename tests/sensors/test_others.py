"""InfiniBand, the machine, Slurm's nodes, stragglers, and logs that grow and rotate."""

from pathlib import Path

import pytest

from parkade.core.healing.symptom import ConditionFact, NodeCondition, Symptom
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.ports import Sensor
from parkade.sensors.clock import ClockReading, kernel_clock
from parkade.sensors.kernel_log.files import KernelRecords, lines_of
from parkade.sensors.kernel_log.journal import KernelJournalError, journal_lines
from parkade.sensors.kernel_log.live import KernelLogFile, KernelRing
from parkade.sensors.live import InfiniBand, MachineSensor
from parkade.sensors.machine import (
    MachineReading,
    machine_symptoms,
    parse_meminfo,
    read_machine,
)
from parkade.sensors.network.infiniband import (
    PortMemory,
    PortReading,
    port_symptoms,
    read_ports,
)
from parkade.sensors.slurm_nodes import read_nodes
from parkade.sensors.stragglers import GangMemory, GangStep, straggler_symptoms
from tests.sensors.ring import HeldRecords


def seen(symptoms: list[Symptom]) -> list[tuple[str | None, str]]:
    found = []
    for symptom in symptoms:
        assert isinstance(symptom.fact, ConditionFact)
        found.append((symptom.device, symptom.fact.condition.value))
    return found


def play_port(*states: tuple[float, bool]) -> list[tuple[str | None, str]]:
    """A port's states at seconds, and all that is seen of it."""
    memory: tuple[PortMemory, ...] = ()
    found: list[tuple[str | None, str]] = []
    for at_s, is_active in states:
        reading = PortReading(port="mlx5_0/1", is_active=is_active, is_disabled=False, counters={})
        memory, symptoms = port_symptoms(memory, (reading,), round(at_s * SECOND_US), node="n1")
        found += seen(symptoms)
    return found


def test_a_port_that_is_down_for_four_minutes_has_dropped_and_a_blink_is_nothing() -> None:
    assert play_port((0, True), (10, False), (20, True), (30, False), (40, True)) == []
    assert play_port((0, True), (10, False), (200, False)) == []
    assert play_port((0, True), (10, False), (250, False)) == [("mlx5_0/1", "link_down")]


def test_a_port_that_comes_back_three_times_flaps() -> None:
    states = [
        (at + step, active) for at in (0, 100, 200) for step, active in ((0, False), (30, True))
    ]
    assert play_port(*states) == [("mlx5_0/1", "link_flapping")]
    assert play_port(*states[:4]) == []


def _reading(**counters: int) -> PortReading:
    return PortReading(port="p", is_active=True, is_disabled=False, counters=counters)


@pytest.mark.parametrize(
    ("counter", "rise", "condition"),
    [
        ("local_link_integrity_errors", 1, "link_errors_fatal"),
        ("symbol_error", 600, None),
        ("symbol_error", 601, "link_errors"),
        ("link_error_recovery", 6, "link_errors"),
        ("link_downed", 5, None),
    ],
)
def test_a_ports_counters_are_told_by_their_rise_in_a_minute(
    counter: str, rise: int, condition: str | None
) -> None:
    memory, _ = port_symptoms((), (_reading(**{counter: 5}),), 0, node="n1")
    _, symptoms = port_symptoms(memory, (_reading(**{counter: 5 + rise}),), MINUTE_US, node="n1")
    assert seen(symptoms) == ([("p", condition)] if condition else [])


def _write_port(root: Path, *, state: str) -> None:
    folder = root / "mlx5_0" / "ports" / "1"
    (folder / "counters").mkdir(parents=True, exist_ok=True)
    (folder / "state").write_text(state)
    (folder / "phys_state").write_text("5: LinkUp")
    (folder / "counters" / "symbol_error").write_text("12\n")
    (folder / "counters" / "link_downed").write_text("junk\n")


def test_ports_are_read_from_sysfs_and_an_adapter_that_goes_missing_is_told(
    tmp_path: Path,
) -> None:
    assert read_ports(tmp_path / "none") is None
    _write_port(tmp_path, state="4: ACTIVE")
    (port,) = read_ports(tmp_path) or ()
    assert (port.port, port.is_active, port.counters) == ("mlx5_0/1", True, {"symbol_error": 12})
    sensor: Sensor = InfiniBand(node="n1", root=tmp_path)
    assert sensor.poll(0) == []
    (tmp_path / "mlx5_0").rename(tmp_path.parent / "gone")
    found = [sensor.poll(at * MINUTE_US) for at in (1, 2, 3)]
    assert [seen(list(each)) for each in found] == [[], [], [("mlx5_0/1", "adapter_missing")]]


def test_a_driver_without_an_adapter_is_absent_and_an_adapter_that_left_is_not(
    tmp_path: Path,
) -> None:
    sensor: Sensor = InfiniBand(node="n1", root=tmp_path)
    assert sensor.poll(0) == [] and sensor.state.startswith("absent")
    _write_port(tmp_path, state="4: ACTIVE")
    assert sensor.poll(MINUTE_US) == [] and sensor.state == "read"
    (tmp_path / "mlx5_0").rename(tmp_path.parent / "left")
    assert sensor.poll(2 * MINUTE_US) == [] and sensor.state == "read"


def test_the_machine_is_read_and_its_limits_are_told() -> None:
    sensor: Sensor = MachineSensor(node="n1", mounts=(Path("/"), Path("/no/such/mount")))
    sensor.poll(0)
    reading = read_machine((Path("/"),), at_us=0, clock=kernel_clock())
    assert [mount for mount, _, _ in reading.disks] == ["/"]
    assert reading.memory_available is not None
    bad = MachineReading(
        at_us=0,
        disks=(("/", 96, 1), ("/tmp", 5, 97), ("/var", 94, 94)),
        memory_available=1,
        clock=ClockReading(skew_us=-3 * SECOND_US, is_kept=False),
    )
    assert seen(machine_symptoms(bad, node="n1")) == [
        ("/", "disk_full"),
        ("/tmp", "disk_full"),
        (None, "memory_low"),
        (None, "clock_skew"),
        (None, "clock_not_kept"),
    ]


@pytest.mark.parametrize(
    ("text", "available"),
    [("MemTotal: 200 kB\nMemAvailable: 50 kB\n", 25), ("", None), ("MemTotal: 0 kB", None)],
)
def test_meminfo_is_read(text: str, available: int | None) -> None:
    assert parse_meminfo(text) == available


def test_slurms_words_for_its_nodes_are_read() -> None:
    text = (
        "n1|idle|none\nn1|idle|none\nn2|down*|Not responding\nn3|drained|bad GPU\n"
        "n4|mixed*|none\nn5|draining@|reboot\nn6|allocated|none\n\n|down|x\n"
        "n7|powered_down|none\nn8|POWERING_DOWN|none\nn9|idle~|none\nn10|down~|none\n"
        "n11|down+powered_down|failed to resume\n"
    )
    found = {
        each.node: each.fact.condition
        for each in read_nodes(text, reporter="agent", at_us=0).symptoms
        if isinstance(each.fact, ConditionFact)
    }
    assert found == {
        "n2": NodeCondition.ENGINE_NODE_DOWN,
        "n3": NodeCondition.ENGINE_NODE_DRAINING,
        "n4": NodeCondition.ENGINE_NODE_DOWN,
        "n5": NodeCondition.ENGINE_NODE_DRAINING,
        "n11": NodeCondition.ENGINE_NODE_DOWN,
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "printed nothing"),
        ("\n \n", "printed nothing"),
        ("slurm_load_node error: Unable to contact\n", "no line of it is `node|state|reason`"),
        ("n1||\n", "no line of it is"),
        ("x1|idle|none\nx2|down|x\n", "names none of the nodes that are watched; it names x1, x2"),
        ("n1|idle|none\n", "does not name n3, which nothing else reads"),
        ("n1|idle|none\nn3|idle|none\n", None),
    ],
)
def test_an_engine_that_says_nothing_of_the_nodes_is_not_healthy(
    text: str, why: str | None
) -> None:
    found = read_nodes(
        text, reporter="engine", at_us=0, watched=frozenset({"n1", "n2", "n3"}), needed=("n3",)
    ).why
    assert (found is None) if why is None else (found is not None and why in found)


def _steps(slow_s: list[int], *, factor: float) -> list[tuple[str, str]]:
    """A gang of five with a step each 30 s; n3 is slow in those steps."""
    memory: GangMemory | None = None
    found = []
    for at_s in range(0, 900, 30):
        work = 1_000_000
        slow = round(work * factor) if at_s in slow_s else work
        step = GangStep(
            job="j",
            at_us=at_s * SECOND_US,
            work_us=(("n1", work), ("n2", work), ("n3", slow), ("n4", work), ("n5", work)),
        )
        memory, symptoms = straggler_symptoms(memory, step, reporter="agent")
        found += [(each.node, each.job or "") for each in symptoms]
    return found


def test_a_rank_is_a_straggler_only_when_it_is_slow_for_minutes_on_end() -> None:
    assert _steps(list(range(0, 240, 30)), factor=1.5) == []
    assert _steps(list(range(0, 270, 30)), factor=1.5) == [("n3", "j")]
    assert _steps(list(range(0, 900, 60)), factor=3.0) == []
    assert _steps(list(range(0, 900, 30)), factor=1.1) == []


def test_of_few_ranks_none_is_called_slow() -> None:
    step = GangStep(job="j", at_us=0, work_us=(("n1", 1), ("n2", 100)))
    memory, symptoms = straggler_symptoms(None, step, reporter="agent")
    assert (memory.slow, symptoms) == ((), [])


XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."


def test_a_line_without_end_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 100_000 + b"\n" + XID.encode() + b"\n\xff\xfe\n")
    with log.open("rb") as handle:
        first, second, third = lines_of(handle)
    assert (len(first), second, third) == (8_192, XID, "\ufffd\ufffd")


def test_a_watched_file_gives_symptoms_of_new_lines_only(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    log.write_text(f"{XID}\n")
    sensor: Sensor = KernelLogFile(log, node="n1")
    assert sensor.poll(MINUTE_US) == []
    with log.open("a") as handle:
        handle.write(f"{XID}\n")
    (symptom,) = sensor.poll(2 * MINUTE_US)
    assert (symptom.device, symptom.at_us) == ("0000:3b:00", 2 * MINUTE_US)
    log.unlink()
    assert sensor.poll(3 * MINUTE_US) == []
    assert sensor.state.startswith("failed")
    sensor.close()


def test_records_of_the_kernels_ring_are_taken_once() -> None:
    records = [f"4,{number},{number * 1_000},-;{XID}" for number in range(3)]
    sensor = KernelRing(node="n1", records=lambda: HeldRecords(records))
    assert len(sensor.poll(MINUTE_US)) == 3
    records.append(f"4,9,9000,-;{XID}")
    assert len(sensor.poll(MINUTE_US)) == 1
    assert sensor.tally.lines == 4


def test_a_ring_that_cannot_be_opened_says_so() -> None:
    sensor = KernelRing(node="n1", records=lambda: KernelRecords(Path("/no/such/device")))
    assert sensor.poll(0) == []
    assert sensor.state == "absent: /dev/kmsg is not there"


def test_the_journal_is_read_line_by_line_and_its_failure_is_told() -> None:
    assert list(journal_lines(("printf", "a\\nb\\n"))) == ["a", "b"]
    with pytest.raises(KernelJournalError, match="cannot be run"):
        next(journal_lines(("/no/such/journalctl",)))
    with pytest.raises(KernelJournalError, match="status 1"):
        list(journal_lines(("false",)))
