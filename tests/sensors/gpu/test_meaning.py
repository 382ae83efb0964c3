"""Readings of GPUs: DCGM's text, what two readings mean, and a driver that hangs."""

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.healing.symptom import (
    Condition,
    ConditionFact,
    RecoveryAction,
    RecoveryFact,
    Source,
    Symptom,
    XidFact,
)
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.ports import Sensor
from parkade.sensors.gpu.dcgm import DcgmError, parse_text, samples, scrape
from parkade.sensors.gpu.live import DcgmExporter, Nvml
from parkade.sensors.gpu.meaning import gpu_symptoms
from parkade.sensors.gpu.metric import Metric
from parkade.sensors.gpu.nvml import NoGpu, NvmlFailed, NvmlHung, NvmlReader
from parkade.sensors.gpu.readings import GpuReading, NodeReading, as_value
from tests.messages.test_queue import dripping

RECORDED = Path(__file__).parents[1] / "recorded"


def text(name: str) -> str:
    return (RECORDED / f"dcgm-{name}.txt").read_text("utf-8")


def seen(symptoms: list[Symptom]) -> set[tuple[str | None, str]]:
    """Device and what was seen, in short."""
    found = set()
    for symptom in symptoms:
        match symptom.fact:
            case ConditionFact(condition=condition):
                found.add((symptom.device, condition.value))
            case XidFact(code=code):
                found.add((symptom.device, f"xid/{code}"))
            case RecoveryFact(action=action):
                found.add((symptom.device, f"recovery/{action.value}"))
            case _:
                raise AssertionError(symptom.fact)
    return found


def meaning(
    before: NodeReading | None, now: NodeReading, expected: int | None = None
) -> set[tuple[str | None, str]]:
    found = gpu_symptoms(
        before, now, node="n1", source=Source.NVML, parser="test/1", expected=expected
    )
    return seen(found)


def gpu(device: str = "0000:3b:00", /, **values: int) -> GpuReading:
    return GpuReading(
        device=device,
        uuid=None,
        values={Metric(name): value for name, value in values.items()},
        xids={},
    )


def _one(metric: str, value: int) -> GpuReading:
    return gpu("0000:3b:00", **{metric: value})


def node(at_min: float, *gpus: GpuReading, driver: str = "570") -> NodeReading:
    return NodeReading(at_us=round(at_min * MINUTE_US), driver=driver, gpus=gpus, failed=())


def test_old_and_new_names_of_fields_are_read_and_blanks_are_no_data() -> None:
    old = parse_text(text("old"), at_us=0)
    first, second = old.gpus
    assert (old.driver, first.device, second.device) == ("535.104", "0000:3b:00", "0000:5e:00")
    assert first.values == {
        Metric.TEMPERATURE: 41,
        Metric.LAST_XID: 31,
        Metric.PCIE_REPLAYS: 7,
        Metric.ROW_REMAP_FAILURE: 0,
    }
    assert second.values[Metric.CLOCK_REASONS] == 64
    (new,) = parse_text(text("new"), at_us=0).gpus
    assert new.xids == {94: 2}
    assert new.values[Metric.RECOVERY_ACTION] == 1


def test_one_look_tells_what_holds_and_no_old_xid() -> None:
    assert meaning(None, parse_text(text("old"), at_us=0)) == {
        ("0000:5e:00", "gpu_temperature"),
        ("0000:5e:00", "thermal_slowdown"),
    }
    assert meaning(None, parse_text(text("new"), at_us=0)) == {
        ("0000:1a:00", "power_brake"),
        ("0000:1a:00", "row_remap_pending"),
        ("0000:1a:00", "pcie_width"),
        ("0000:1a:00", "recovery/reset_gpu"),
        ("0000:1a:00", "xid/94"),
    }


def test_a_gauge_that_keeps_its_last_xid_is_told_once_when_it_changes() -> None:
    none, first = node(0, gpu(last_xid=0)), node(1, gpu(last_xid=79))
    assert meaning(none, first) == {("0000:3b:00", "xid/79")}
    assert meaning(first, node(2, gpu(last_xid=79))) == set()
    assert meaning(None, first) == set()


def test_an_exporter_that_counts_xids_is_believed_by_its_count() -> None:
    one = node(0, msgspec.structs.replace(gpu(last_xid=94), xids={94: 1}))
    two = node(1, msgspec.structs.replace(gpu(last_xid=94), xids={94: 2}))
    assert meaning(one, two) == {("0000:3b:00", "xid/94")}
    assert meaning(two, two) == set()
    assert meaning(two, one) == set()


def test_a_gpu_that_vanishes_is_lost_and_a_short_count_is_told_without_history() -> None:
    both, one = node(0, gpu(), gpu("0000:5e:00")), node(1, gpu())
    assert meaning(both, one) == {("0000:5e:00", "gpu_lost")}
    assert meaning(None, one, expected=2) == {(None, "gpu_count_dropped")}
    assert meaning(None, one, expected=1) == set()
    failed = msgspec.structs.replace(one, failed=(("0000:5e:00", "GPU is lost"),))
    assert meaning(None, failed, expected=2) == {("0000:5e:00", "gpu_lost")}


@pytest.mark.parametrize(
    ("metric", "rise", "condition"),
    [
        ("ecc_uncorrectable", 1, "ecc_uncorrectable"),
        ("ecc_correctable", 999, None),
        ("ecc_correctable", 1_001, "ecc_correctable_rate"),
        ("pcie_replays", 30, None),
        ("pcie_replays", 31, "pcie_replays"),
        ("nvlink_crc", 6_000, None),
        ("nvlink_crc", 6_001, "nvlink_errors"),
        ("nvlink_recoveries", 1, "nvlink_errors"),
    ],
)
def test_a_counter_is_a_symptom_by_its_rise_in_a_minute(
    metric: str, rise: int, condition: str | None
) -> None:
    found = meaning(node(0, _one(metric, 10)), node(1, _one(metric, 10 + rise)))
    assert found == ({("0000:3b:00", condition)} if condition else set())


def test_a_counter_that_fell_or_another_driver_says_nothing() -> None:
    low, high = node(1, gpu(ecc_uncorrectable=1)), node(0, gpu(ecc_uncorrectable=9))
    assert meaning(high, low) == set()
    newer = node(2, gpu(ecc_uncorrectable=9), driver="580")
    assert meaning(low, newer) == set()


def test_a_wish_of_the_driver_is_told_when_it_changes_and_when_it_is_taken_back() -> None:
    none, wish = node(0, gpu(recovery_action=0)), node(1, gpu(recovery_action=2))
    assert meaning(None, none) == set()
    assert meaning(none, wish) == {("0000:3b:00", f"recovery/{RecoveryAction.REBOOT.value}")}
    assert meaning(wish, wish) == set()
    assert meaning(wish, none) == {("0000:3b:00", "recovery/none")}
    assert meaning(none, node(1, gpu(recovery_action=77))) == {("0000:3b:00", "recovery/unknown")}


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (0.0, 0),
        (41.4, 41),
        (9223372036854775794.0, None),
        (140737488355328.0, None),
        (2147483634.0, None),
        (2147483631.0, 2147483631),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_values_that_stand_for_no_data_are_none(number: float, value: int | None) -> None:
    assert as_value(number) == value


@pytest.mark.parametrize("body", ["", "go_goroutines 12\n", "<html>404</html>"])
def test_a_text_without_gpus_is_an_error_and_not_health(body: str) -> None:
    with pytest.raises(DcgmError, match="no metric of a GPU"):
        parse_text(body, at_us=0)


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(body: str) -> None:
    list(samples("DCGM_FI_DEV_GPU_TEMP" + body))
    list(samples('DCGM_X{gpu="' + body))


class _Exporter(http.server.BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def exporter() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Exporter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def test_the_exporter_is_read_over_http_and_its_silence_is_a_symptom(exporter: str) -> None:
    sensor: Sensor = DcgmExporter(exporter, node="n1")
    _Exporter.body = text("new").encode()
    assert ("0000:1a:00", "row_remap_pending") in seen(list(sensor.poll(MINUTE_US)))
    _Exporter.body = b"go_goroutines 1\n"
    assert seen(list(sensor.poll(2 * MINUTE_US))) == {(None, "sensor_silent")}
    assert sensor.state.startswith("failed: no metric of a GPU")
    with pytest.raises(DcgmError, match="cannot be read"):
        scrape("http://127.0.0.1:1/metrics", timeout_s=5)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_exporter_that_drips_is_given_up_in_time(greeting: bytes) -> None:
    with (
        dripping(greeting) as port,
        pytest.raises(DcgmError, match=r"not answered whole within 0\.3 s"),
    ):
        scrape(f"http://127.0.0.1:{port}/metrics", timeout_s=0.3)


def _child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_call_that_hangs_is_a_symptom_and_children_do_not_pile_up() -> None:
    reader = NvmlReader(timeout_s=0.3, command=_child("import time; time.sleep(600)"))
    sensor: Sensor = Nvml(node="n1", reader=reader)
    assert seen(list(sensor.poll(0))) == {(None, "sensor_hung")}
    assert "no answer within 0.3 s" in sensor.state


def test_a_machine_without_a_gpu_says_so_and_is_not_sick() -> None:
    reader = NvmlReader(command=_child('print(\'{"no_gpu": "no driver"}\')'))
    sensor = Nvml(node="n1", reader=reader)
    assert sensor.poll(0) == []
    assert sensor.state == "absent: no driver"
    with pytest.raises(NoGpu, match="no driver"):
        reader.read()


@pytest.mark.parametrize(
    "code", ['print(\'{"failed": "x"}\')', "print('junk')", "raise SystemExit(3)"]
)
def test_a_child_that_fails_is_a_failure_in_its_words(code: str) -> None:
    with pytest.raises(NvmlFailed):
        NvmlReader(command=_child(code)).read()


def test_a_driver_that_told_before_and_now_fails_is_silent(tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    reading = {"at_us": 1, "driver": "570", "gpus": [], "failed": [["0000:3b:00", "lost"]]}
    answer.write_text(json.dumps(reading))
    reader = NvmlReader(command=_child(f"print(open({str(answer)!r}).read())"))
    sensor = Nvml(node="n1", reader=reader)
    assert seen(sensor.poll(0)) == {("0000:3b:00", "gpu_lost")}
    answer.write_text('{"failed": "Driver/library version mismatch"}')
    assert seen(sensor.poll(1)) == {(None, "sensor_silent")}


def recorded(monkeypatch: pytest.MonkeyPatch, **fails: int) -> NodeReading:
    """What the child makes of the answers of a real H100, of which some may fail with a code."""
    monkeypatch.syspath_prepend(RECORDED / "nvml")
    monkeypatch.setenv("FAILS", json.dumps(fails))
    return NvmlReader().read()


def test_the_answers_of_a_real_gpu_are_read_and_mean_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading = recorded(monkeypatch)
    (gpu,) = reading.gpus
    assert (gpu.device, reading.driver) == ("0000:00:06", "580.159.04")
    assert gpu.values == {
        Metric.TEMPERATURE: 37,
        Metric.MEMORY_TEMPERATURE: 40,
        Metric.CLOCK_REASONS: 1,
        Metric.ECC_UNCORRECTABLE: 0,
        Metric.ECC_CORRECTABLE: 0,
        Metric.SRAM_THRESHOLD: 0,
        Metric.ROWS_REMAPPED: 0,
        Metric.ROW_REMAP_PENDING: 0,
        Metric.ROW_REMAP_FAILURE: 0,
        Metric.PCIE_REPLAYS: 1,
        Metric.PCIE_WIDTH: 16,
        Metric.PCIE_WIDTH_MOST: 16,
        Metric.PCIE_GENERATION: 5,
        Metric.RECOVERY_ACTION: 0,
    }
    assert meaning(None, reading) == set(), "NVLink is not there, which says nothing of its health"


def test_what_a_driver_does_not_support_is_not_known_and_a_lost_gpu_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    not_supported, is_lost = 3, 15
    (gpu,) = recorded(monkeypatch, ecc_uncorrectable=not_supported, sram_threshold=3).gpus
    assert Metric.ECC_UNCORRECTABLE not in gpu.values and Metric.SRAM_THRESHOLD not in gpu.values
    reading = recorded(monkeypatch, temperature=is_lost)
    assert reading.gpus == ()
    assert meaning(None, reading) == {("0000:00:06", "gpu_lost")}


@pytest.mark.parametrize(("code", "error"), [(12, NoGpu), (9, NoGpu), (18, NvmlFailed)])
def test_a_machine_without_a_driver_has_no_gpu_and_a_driver_that_fails_has_failed(
    monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        recorded(monkeypatch, init=code)


def test_left_behind_children_are_bounded() -> None:
    reader = NvmlReader(timeout_s=0.2, command=_child("import time; time.sleep(600)"))
    for _ in range(4):
        with pytest.raises(NvmlHung):
            reader.read()
    assert reader.left_behind() == 0


@pytest.mark.gpu
def test_a_real_gpu_is_read() -> None:
    reading = NvmlReader().read()
    assert reading.driver is not None
    assert reading.gpus
    for each in reading.gpus:
        assert 0 < each.values[Metric.TEMPERATURE] < 120
        assert each.values.get(Metric.RECOVERY_ACTION, 0) == 0
        assert Metric.SRAM_THRESHOLD in each.values
    assert Condition.GPU_LOST.value not in {what for _, what in meaning(None, reading)}


def test_a_machine_without_gpus_is_not_asked_each_round_and_a_reading_has_its_interval() -> None:
    class Counting(NvmlReader):
        asked = 0

        def read(self) -> NodeReading:
            self.asked += 1
            raise NoGpu("no library")

    reader = Counting()
    sensor = Nvml(node="n1", reader=reader)
    for second in range(0, 900, 5):
        assert sensor.poll(second * SECOND_US) == []
    assert sensor.state.startswith("absent") and reader.asked == 3
    expected = Nvml(node="n1", expected=8, reader=reader, every_us=15 * SECOND_US)
    for second in range(0, 60, 5):
        expected.poll(second * SECOND_US)
    assert expected.state.startswith("failed") and reader.asked == 3 + 4
    expected.poll(0)
    assert reader.asked == 8, "a clock that was set back does not silence it"
