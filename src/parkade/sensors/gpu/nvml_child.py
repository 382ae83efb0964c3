"""The child process that calls NVML once and prints a reading as JSON: see `nvml`.

`python -I -S nvml_child.py FOLDER …`: the folders in which Parkade and NVIDIA's library are. Most
of what a reading costs is the start of this process, so it imports nothing that it can do without.
"""

import json
import sys
import time
from collections.abc import Callable
from ctypes import ArgumentError, byref
from typing import Any

if __name__ == "__main__":
    sys.path += sys.argv[1:]

from parkade.sensors.gpu.metric import Metric


def main() -> None:
    """Prints {"no_gpu": why}, {"failed": words}, or a reading."""
    json.dump(read(), sys.stdout)


def read() -> dict[str, Any]:
    """One reading of every GPU."""
    import pynvml  # type: ignore[import-untyped,unused-ignore]

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        missing = (
            pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
            pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        )
        key = "no_gpu" if error.value in missing else "failed"
        return {key: str(error)}
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        gpus, failed = [], []
        for index in range(pynvml.nvmlDeviceGetCount()):
            name = f"index {index}"
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                name = _text(pynvml.nvmlDeviceGetPciInfo(handle).busId)
                gpus.append(_gpu(pynvml, handle, name))
            except pynvml.NVMLError as error:
                failed.append((name, str(error)))
    except pynvml.NVMLError as error:
        return {"failed": str(error)}
    if not gpus and not failed:
        return {"no_gpu": "the driver lists no GPU"}
    at_us = time.time_ns() // 1_000
    return {"at_us": at_us, "driver": driver, "gpus": gpus, "failed": failed}


def _gpu(nvml: Any, handle: Any, device: str) -> dict[str, Any]:
    """One GPU; a call that its driver does not support, or that this version of NVIDIA's library
    does not have or has otherwise, leaves its metric out."""
    values: dict[str, int] = {}

    def put(metric: Metric, call: Callable[[], Any]) -> None:
        try:
            values[metric.value] = int(call())
        except nvml.NVMLError as error:
            if error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_UNKNOWN):
                raise
        except (AttributeError, TypeError, ArgumentError):
            return

    put(
        Metric.TEMPERATURE,
        lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
    )
    put(Metric.CLOCK_REASONS, lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    put(
        Metric.ECC_UNCORRECTABLE,
        lambda: nvml.nvmlDeviceGetTotalEccErrors(
            handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        ),
    )
    put(
        Metric.ECC_CORRECTABLE,
        lambda: nvml.nvmlDeviceGetTotalEccErrors(
            handle, nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, nvml.NVML_VOLATILE_ECC
        ),
    )
    put(Metric.SRAM_THRESHOLD, lambda: _sram_threshold(nvml, handle))
    put(Metric.PCIE_WIDTH, lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(handle))
    put(Metric.PCIE_WIDTH_MOST, lambda: nvml.nvmlDeviceGetMaxPcieLinkWidth(handle))
    put(Metric.PCIE_GENERATION, lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(handle))
    values |= _fields(nvml, handle)
    uuid = _text(nvml.nvmlDeviceGetUUID(handle))
    return {"device": device, "uuid": uuid, "values": values, "xids": {}}


def _sram_threshold(nvml: Any, handle: Any) -> int:
    """Whether the GPU says that its SRAM had more errors than it may."""
    status = nvml.c_nvmlEccSramErrorStatus_v1_t()
    # The library hands it on as it is, and the driver wants an address.
    nvml.nvmlDeviceGetSramEccErrorStatus(handle, byref(status))
    return int(status.bThresholdExceeded)


def _fields(nvml: Any, handle: Any) -> dict[str, int]:
    """Field values; those that this driver does not know are left out."""
    wanted = [
        (Metric.MEMORY_TEMPERATURE, nvml.NVML_FI_DEV_MEMORY_TEMP),
        (Metric.ROWS_REMAPPED, nvml.NVML_FI_DEV_REMAPPED_UNC),
        (Metric.ROW_REMAP_PENDING, nvml.NVML_FI_DEV_REMAPPED_PENDING),
        (Metric.ROW_REMAP_FAILURE, nvml.NVML_FI_DEV_REMAPPED_FAILURE),
        (Metric.PCIE_REPLAYS, nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER),
        (Metric.NVLINK_CRC, nvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL),
        (Metric.NVLINK_RECOVERIES, nvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL),
        (Metric.RECOVERY_ACTION, nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION),
    ]
    found: dict[str, int] = {}
    try:
        answers = nvml.nvmlDeviceGetFieldValues(handle, [field for _, field in wanted])
    except nvml.NVMLError:
        return found
    for (metric, _), answer in zip(wanted, answers, strict=True):
        if answer.nvmlReturn == nvml.NVML_SUCCESS:
            found[metric.value] = _number(nvml, answer)
    return found


def _number(nvml: Any, answer: Any) -> int:
    """A field's value, which has one of several types."""
    kind, value = answer.valueType, answer.value
    if kind == nvml.NVML_VALUE_TYPE_DOUBLE:
        return round(float(value.dVal))
    if kind == nvml.NVML_VALUE_TYPE_UNSIGNED_INT:
        return int(value.uiVal)
    if kind == nvml.NVML_VALUE_TYPE_SIGNED_INT:
        return int(value.siVal)
    if kind == nvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG:
        return int(value.sllVal)
    return int(value.ullVal)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


if __name__ == "__main__":
    main()
