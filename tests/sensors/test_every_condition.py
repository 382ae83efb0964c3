"""Each condition of the policy is seen by a sensor: a line or a reading that shows it."""

import pytest

from parkade.core.healing.symptom import ConditionFact, NodeCondition, Source, Symptom
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.sensors.clock import ClockReading
from parkade.sensors.gpu.live import Nvml
from parkade.sensors.gpu.meaning import gpu_symptoms
from parkade.sensors.gpu.metric import Metric
from parkade.sensors.gpu.nvml import NvmlFailed, NvmlHung, NvmlReader
from parkade.sensors.gpu.readings import GpuReading, NodeReading
from parkade.sensors.kernel_log.reading import read
from parkade.sensors.machine import MachineReading, machine_symptoms
from parkade.sensors.network.infiniband import PortMemory, PortReading, port_symptoms
from parkade.sensors.slurm_nodes import read_nodes
from parkade.sensors.stragglers import GangMemory, GangStep, straggler_symptoms

C = NodeCondition
LINES = {
    C.GPU_LOST: ["NVRM: GPU at PCI:0000:3b:00: GPU-aa has fallen off the bus."],
    C.GPU_INIT_FAILED: [
        "NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x26:0xffff:1290)",
        "NVRM: GPU 0000:3b:00.0: rm_init_adapter failed, device minor number 0",
    ],
    C.PEER_MEMORY: [
        "nvidia-peermem nv_get_p2p_free_callback:127 ERROR detected invalid context, skipping"
    ],
    C.PCIE_WIDTH: [
        "pci 0000:3b:00.0: 63.008 Gb/s available PCIe bandwidth, limited by 8.0 GT/s PCIe x8 link"
    ],
    C.PCIE_ERROR: [
        "pcieport 0000:3a:00.0: AER: Uncorrected (Fatal) error received: 0000:3b:00.0",
        "nvidia 0000:3b:00.0: AER: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=x",
        "nvidia 0000:3b:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Data Link Layer",
    ],
    C.LINK_DOWN: ["mlx5_core 0000:a1:00.0 ibp161s0: Link down"],
    C.ADAPTER_MISSING: [
        "mlx5_core 0000:a1:00.0: mlx5_health_try_recover:338:(pid 9): health recovery failed"
    ],
    C.SOFT_LOCKUP: [
        "watchdog: BUG: soft lockup - CPU#18 stuck for 27s! [python3:2254956]",
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 3",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
    ],
    C.HUNG_TASK: ["INFO: task jfsmount:136986 blocked for more than 120 seconds."],
    C.MACHINE_CHECK: [
        "{1}[Hardware Error]: event severity: fatal",
        "mce: [Hardware Error]: CPU 3: Machine Check Exception: 5 Bank 9: be00000000800400",
        "mce: Uncorrected hardware memory error in user-access at 3f4a8b000",
        "EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0)",
    ],
    C.OUT_OF_MEMORY: ["python3 invoked oom-killer: gfp_mask=0x140cca, order=0, oom_score_adj=0"],
    C.NVME_FAILED: ["nvme nvme1: controller is down; will reset: CSTS=0xffffffff"],
    C.RAID_FAILED: ["md/raid1:md0: Disk failure on nvme1n1, disabling device."],
    C.FILESYSTEM_READ_ONLY: ["EXT4-fs (nvme0n1p2): Remounting filesystem read-only"],
    C.DISK_ERROR: ["Buffer I/O error on dev sda1, logical block 17, async page read"],
    C.LIBRARY_CRASH: ["python3[12]: segfault at 8 ip 0 sp 0 error 4 in libnccl.so.2.18[7f]"],
}
LEVELS = {
    C.GPU_TEMPERATURE: (Metric.TEMPERATURE, 99),
    C.MEMORY_TEMPERATURE: (Metric.MEMORY_TEMPERATURE, 120),
    C.THERMAL_SLOWDOWN: (Metric.CLOCK_REASONS, 0x40),
    C.POWER_BRAKE: (Metric.CLOCK_REASONS, 0x80),
    C.SRAM_THRESHOLD: (Metric.SRAM_THRESHOLD, 1),
    C.ROW_REMAP_PENDING: (Metric.ROW_REMAP_PENDING, 1),
    C.ROW_REMAP_FAILURE: (Metric.ROW_REMAP_FAILURE, 1),
    C.ROW_REMAPS_MANY: (Metric.ROWS_REMAPPED, 600),
}
RISES = {
    C.ECC_UNCORRECTABLE: (Metric.ECC_UNCORRECTABLE, 1),
    C.ECC_CORRECTABLE_RATE: (Metric.ECC_CORRECTABLE, 10**6),
    C.PCIE_REPLAYS: (Metric.PCIE_REPLAYS, 10**6),
    C.NVLINK_ERRORS: (Metric.NVLINK_RECOVERIES, 1),
}
ORDINARY = [
    "mce: CPU0: Thermal monitoring enabled (TM1)",
    "{1}[Hardware Error]: event severity: corrected",
    "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0",
    "EDAC MC: Ver: 3.0.0",
    "nvidia 0000:3b:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer",
    "pcieport 0000:3a:00.0: AER: Corrected error received: 0000:3b:00.0",
    "mce: [Hardware Error]: Machine check events logged",
    "md/raid1:md0: active with 2 out of 2 mirrors",
]


def conditions(symptoms: list[Symptom]) -> set[NodeCondition]:
    return {each.fact.condition for each in symptoms if isinstance(each.fact, ConditionFact)}


@pytest.mark.parametrize(
    ("condition", "line"), [(what, line) for what, lines in LINES.items() for line in lines]
)
def test_a_line_of_the_kernel_shows_it(condition: NodeCondition, line: str) -> None:
    fact = read(line).fact
    assert isinstance(fact, ConditionFact) and fact.condition is condition


@pytest.mark.parametrize("line", ORDINARY)
def test_what_the_machine_corrected_or_says_at_its_start_is_no_symptom(line: str) -> None:
    assert read(line).fact is None


def reading(at_us: int, **values: int) -> NodeReading:
    metrics = {Metric(name): value for name, value in values.items()}
    gpu = GpuReading(device="0000:3b:00", uuid=None, values=metrics, xids={})
    return NodeReading(at_us=at_us, driver="570", gpus=(gpu,), failed=())


def of_gpus(before: NodeReading | None, now: NodeReading, expected: int | None = None) -> set[C]:
    found = gpu_symptoms(
        before, now, node="n1", source=Source.NVML, parser="test/1", expected=expected
    )
    return conditions(found)


def of_a_driver() -> set[NodeCondition]:
    """A call that hangs, and one that fails after it had answered."""

    class Hangs(NvmlReader):
        def read(self) -> NodeReading:
            raise NvmlHung("no answer")

    class Fails(NvmlReader):
        answers = 1

        def read(self) -> NodeReading:
            if self.answers:
                self.answers = 0
                return reading(0)
            raise NvmlFailed("mismatch")

    failing = Nvml(node="n1", reader=Fails())
    failing.poll(0)
    return conditions(
        [*Nvml(node="n1", reader=Hangs()).poll(0), *failing.poll(HOUR_US)],
    )


def of_ports() -> set[NodeCondition]:
    memory: tuple[PortMemory, ...] = ()
    found: list[Symptom] = []
    for turn in range(8):
        counters = {"local_link_integrity_errors": turn, "symbol_error": turn * 10**6}
        port = PortReading(port="p", is_active=turn % 2 == 0, is_disabled=False, counters=counters)
        memory, symptoms = port_symptoms(memory, (port,), turn * MINUTE_US, node="n1")
        found += symptoms
    for minute in (20, 21, 22):
        memory, symptoms = port_symptoms(memory, (), minute * MINUTE_US, node="n1")
        found += symptoms
    return conditions(found)


def of_a_gang() -> set[NodeCondition]:
    memory: GangMemory | None = None
    found: list[Symptom] = []
    for turn in range(12):
        work = tuple((f"n{node}", 2_000 if node == 0 else 1_000) for node in range(4))
        step = GangStep(job="w1", at_us=turn * 30 * SECOND_US, work_us=work)
        memory, symptoms = straggler_symptoms(memory, step, reporter="a")
        found += symptoms
    return conditions(found)


def test_no_condition_of_the_policy_is_one_that_no_sensor_sees() -> None:
    machine = MachineReading(
        at_us=0,
        disks=(("/", 96, 1),),
        memory_available=1,
        clock=ClockReading(skew_us=-3 * SECOND_US, is_kept=False),
    )
    seen = set(LINES)
    for condition, (metric, value) in LEVELS.items():
        assert condition in of_gpus(None, reading(0, **{metric.value: value}))
        seen.add(condition)
    for condition, (metric, rise) in RISES.items():
        before, now = (
            reading(0, **{metric.value: 1}),
            reading(MINUTE_US, **{metric.value: 1 + rise}),
        )
        assert condition in of_gpus(before, now)
        seen.add(condition)
    seen |= of_gpus(None, reading(0), expected=2) | of_a_driver() | of_ports() | of_a_gang()
    seen |= conditions(machine_symptoms(machine, node="n1"))
    slurm = "n1|down*|Not responding\nn2|drained|x\n"
    seen |= conditions(read_nodes(slurm, reporter="a", at_us=0).symptoms)
    assert set(NodeCondition) - seen == set()
