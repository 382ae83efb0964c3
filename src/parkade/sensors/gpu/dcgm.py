"""DCGM's exporter over HTTP: its text as a reading, with old and new names of fields.

The text is Prometheus' exposition format. Values that stand for 'no data' are dropped, so that a
blank is never taken for a count. A body beyond the bound, or no metrics of GPUs in it, is an error:
silence is not health.
"""

import asyncio
import re
from collections.abc import Iterator

from parkade.sensors.gpu.metric import Metric
from parkade.sensors.gpu.readings import GpuReading, NodeReading, as_value
from parkade.sensors.kernel_log.codes import device_of

PARSER = "dcgm_exporter/1"
MOST_BYTES = 16 * 1_048_576
MOST_GPUS = 1_024
TIMEOUT_S = 10.0
PREFIX = "DCGM_"
FIELDS: dict[str, Metric] = {
    "DCGM_FI_DEV_GPU_TEMP": Metric.TEMPERATURE,
    "DCGM_FI_DEV_MEMORY_TEMP": Metric.MEMORY_TEMPERATURE,
    "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": Metric.CLOCK_REASONS,
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": Metric.CLOCK_REASONS,
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": Metric.ECC_UNCORRECTABLE,
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": Metric.ECC_CORRECTABLE,
    "DCGM_FI_DEV_THRESHOLD_SRM": Metric.SRAM_THRESHOLD,
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": Metric.ROWS_REMAPPED,
    "DCGM_FI_DEV_ROW_REMAP_PENDING": Metric.ROW_REMAP_PENDING,
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": Metric.ROW_REMAP_FAILURE,
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": Metric.PCIE_REPLAYS,
    "DCGM_FI_DEV_PCIE_LINK_WIDTH": Metric.PCIE_WIDTH,
    "DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH": Metric.PCIE_WIDTH_MOST,
    "DCGM_FI_DEV_PCIE_LINK_GEN": Metric.PCIE_GENERATION,
    "DCGM_FI_DEV_GPU_RECOVERY_ACTION": Metric.RECOVERY_ACTION,
    "DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION": Metric.RECOVERY_ACTION,
    "DCGM_FI_DEV_XID_ERRORS": Metric.LAST_XID,
}
SUMS: dict[str, Metric] = {
    "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": Metric.NVLINK_CRC,
    "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL": Metric.NVLINK_CRC,
    "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL": Metric.NVLINK_RECOVERIES,
}
"""Fields of which several add up to one metric."""
XID_COUNTS = ("DCGM_EXP_XID_ERRORS_COUNT", "DCGM_EXP_XID_ERRORS_TOTAL")
_SAMPLE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]{0,127})(?:\{(.{0,8192})\})?\s+(\S{1,64})")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]{0,63})="((?:[^"\\]|\\.){0,512})"')


class DcgmError(Exception):
    """The exporter could not be read; the message says what to do."""


def scrape(url: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """The exporter's text, whole within `timeout_s`. Raises DcgmError. Not for an event loop."""
    import httpx  # here, since it is a sixth of the memory of a program that asks no exporter

    try:
        return asyncio.run(_body(url, timeout_s)).decode("utf-8", "replace")
    except TimeoutError as error:
        raise DcgmError(f"{url} has not answered whole within {timeout_s:g} s") from error
    except httpx.HTTPStatusError as error:
        raise DcgmError(f"{url} answers with status {error.response.status_code}") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        why = "is no address of an exporter; write http://HOST:9400/metrics"
        raise DcgmError(f"{url} {why}") from error
    except (httpx.HTTPError, OSError) as error:
        raise DcgmError(f"{url} cannot be read: {type(error).__name__}: {error}") from error


async def _body(url: str, timeout_s: float) -> bytes:
    import httpx

    body = bytearray()
    async with (
        asyncio.timeout(timeout_s),
        httpx.AsyncClient(timeout=None) as client,
        client.stream("GET", url) as answer,
    ):
        answer.raise_for_status()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise DcgmError(f"{url} answers with more than 16 MiB; is it the exporter?")
    return bytes(body)


def parse_text(text: str, *, at_us: int) -> NodeReading:
    """The reading of an exporter's text. Raises DcgmError where it has no GPU's metric."""
    gpus: dict[str, GpuReading] = {}
    driver = None
    for name, labels, number in samples(text):
        device = _device(labels)
        if device is None or (device not in gpus and len(gpus) >= MOST_GPUS):
            continue
        uuid = labels.get("UUID") or labels.get("uuid")
        gpu = gpus.setdefault(device, GpuReading(device=device, uuid=uuid, values={}, xids={}))
        driver = labels.get("DCGM_FI_DRIVER_VERSION", driver)
        value = as_value(number)
        if value is None or value < 0:
            continue
        if name in FIELDS:
            gpu.values[FIELDS[name]] = value
        elif name in SUMS:
            metric = SUMS[name]
            gpu.values[metric] = gpu.values.get(metric, 0) + value
        elif name in XID_COUNTS and labels.get("xid", "").isdecimal():
            code = int(labels["xid"][:9])
            gpu.xids[code] = max(gpu.xids.get(code, 0), value)
    if not gpus:
        raise DcgmError("no metric of a GPU is in the text; DCGM's exporter has them at /metrics")
    return NodeReading(at_us=at_us, driver=driver, gpus=tuple(gpus.values()), failed=())


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """The DCGM samples of an exposition; other lines are passed over."""
    for line in text.splitlines():
        if not line.startswith(PREFIX):
            continue
        found = _SAMPLE.match(line)
        if found is None:
            continue
        try:
            number = float(found[3])
        except ValueError:
            continue
        yield found[1], dict(_LABEL.findall(found[2] or "")), number


def _device(labels: dict[str, str]) -> str | None:
    """The PCI address where the exporter tells it, else its UUID or number."""
    if address := labels.get("pci_bus_id"):
        return device_of(address)
    return labels.get("UUID") or labels.get("gpu") or None
