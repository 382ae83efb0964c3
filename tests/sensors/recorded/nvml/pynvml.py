"""In place of NVIDIA's library: it answers as NVML did on a real GPU, from `h100-580.json`.

`FAILS` names a call of the recording and the code with which it fails instead. The recording has
for each call and field NVML's return code and value; the GPU's own identity is left out.
"""

# ruff: noqa: N801, N802 - the names are the library's

import ctypes
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NVML_SUCCESS = 0
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_GPU_IS_LOST = 15
NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25
NVML_ERROR_UNKNOWN = 999
NVML_TEMPERATURE_GPU = 0
NVML_MEMORY_ERROR_TYPE_CORRECTED = 0
NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
NVML_VOLATILE_ECC = 0
NVML_VALUE_TYPE_DOUBLE = 0
NVML_VALUE_TYPE_UNSIGNED_INT = 1
NVML_VALUE_TYPE_SIGNED_LONG_LONG = 4
NVML_VALUE_TYPE_SIGNED_INT = 5
NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL = 38
NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL = 59
NVML_FI_DEV_MEMORY_TEMP = 82
NVML_FI_DEV_PCIE_REPLAY_COUNTER = 94
NVML_FI_DEV_REMAPPED_UNC = 143
NVML_FI_DEV_REMAPPED_PENDING = 144
NVML_FI_DEV_REMAPPED_FAILURE = 145
NVML_FI_DEV_GET_GPU_RECOVERY_ACTION = 230

RECORDED = json.loads(Path(__file__).with_name("h100-580.json").read_text())
FAILS = json.loads(os.environ.get("FAILS", "{}"))


class NVMLError(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__(f"NVML answers {value}")
        self.value = value


class c_nvmlEccSramErrorStatus_v1_t(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint),
        ("counts", ctypes.c_ulonglong * 11),
        ("bThresholdExceeded", ctypes.c_uint),
    ]

    def __init__(self) -> None:
        super().__init__(version=0x1000068)


def _answer(name: Any) -> Any:
    code, value = RECORDED["calls"][name]
    code = FAILS.get(name, code)
    if code:
        raise NVMLError(code)
    return value


def nvmlInit() -> Any:
    _answer("init")


def nvmlSystemGetDriverVersion() -> Any:
    return _answer("driver")


def nvmlDeviceGetCount() -> Any:
    return _answer("count")


def nvmlDeviceGetHandleByIndex(index: Any) -> Any:
    return index


def nvmlDeviceGetUUID(handle: Any) -> Any:
    return _answer("uuid")


def nvmlDeviceGetPciInfo(handle: Any) -> Any:
    return SimpleNamespace(busId=_answer("bus_id"))


def nvmlDeviceGetTemperature(handle: Any, sensor: Any) -> Any:
    return _answer("temperature")


def nvmlDeviceGetCurrentClocksEventReasons(handle: Any) -> Any:
    return _answer("clock_reasons")


def nvmlDeviceGetTotalEccErrors(handle: Any, kind: Any, counter: Any) -> Any:
    return _answer("ecc_uncorrectable" if kind else "ecc_correctable")


def nvmlDeviceGetSramEccErrorStatus(handle: Any, status: Any) -> Any:
    """As the library does: what it is given goes on as it is, and the driver wants an address."""

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    def driver(address: Any) -> Any:
        pointer = ctypes.POINTER(c_nvmlEccSramErrorStatus_v1_t)
        found = ctypes.cast(address, pointer).contents
        if found.version != 0x1000068:
            return NVML_ERROR_ARGUMENT_VERSION_MISMATCH
        found.bThresholdExceeded = _answer("sram_threshold")
        return NVML_SUCCESS

    if isinstance(status, ctypes.Structure):
        raise NVMLError(NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
    if code := driver(status):
        raise NVMLError(code)


def nvmlDeviceGetCurrPcieLinkWidth(handle: Any) -> Any:
    return _answer("pcie_width")


def nvmlDeviceGetMaxPcieLinkWidth(handle: Any) -> Any:
    return _answer("pcie_width_most")


def nvmlDeviceGetCurrPcieLinkGeneration(handle: Any) -> Any:
    return _answer("pcie_generation")


def nvmlDeviceGetFieldValues(handle: Any, fields: Any) -> Any:
    return [_field(*RECORDED["fields"][str(field)]) for field in fields]


def _field(code: Any, value: Any, kind: Any) -> Any:
    names = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal")
    number = SimpleNamespace(**{names[kind]: value})
    return SimpleNamespace(nvmlReturn=code, valueType=kind, value=number)
