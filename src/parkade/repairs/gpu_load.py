"""Loads one GPU: `python -m parkade.repairs.gpu_load PCI_ADDRESS SECONDS`, one line of JSON.

Each pass writes all free memory, computes on every unit, and reads the memory back. The GPU passes
where every word and every thread was right, its uncorrectable memory errors did not rise, and the
hardware did not slow it down for heat or power. At least one pass is made. It is a process of its
own, since a driver may hang.

The line is `{"passed": true, "loaded": true, "says": "..."}`. A GPU whose driver takes no such
kernels passes and was not loaded.
"""

import json
import sys
import time
from typing import Any, NamedTuple

from parkade.repairs.gpu_driver import DriverError, Gpu, NotLoadable

SPARED_BYTES = 512 << 20
CHUNK_BYTES = 4 << 30
WORD_BYTES = 4
TURNS = 4_000_000
"""Of the map in each thread of a pass: about half a second."""
SLOWED = 0x8 | 0x40 | 0x80
"""Clock reasons of NVML: hardware slow-down, its thermal kind, and the power brake."""
UNCORRECTED, VOLATILE = 1, 0


class Reading(NamedTuple):
    """What NVML says; None where it cannot."""

    errors: int | None
    reasons: int
    celsius: int | None


def load(address: str, seconds: float) -> tuple[bool, str]:
    """Whether the GPU passed, and what was done or is wrong."""
    until = time.monotonic() + seconds
    watch = _watch(address)
    gpu = Gpu(address)
    chunks = _chunks(gpu)
    before, hottest, reasons, passes = watch(), 0, 0, 0
    wanted = gpu.chain(TURNS)
    while not passes or time.monotonic() < until:
        passes += 1
        for number, (at, words) in enumerate(chunks):
            gpu.fill(at, words, seed=passes * len(chunks) + number)
        if bad := gpu.burn(TURNS, wanted):
            return False, f"{bad} threads computed otherwise, in pass {passes}"
        now = watch()
        hottest, reasons = max(hottest, now.celsius or 0), reasons | now.reasons
        for number, (at, words) in enumerate(chunks):
            if bad := gpu.verify(at, words, seed=passes * len(chunks) + number):
                return False, f"{bad} words read back otherwise, in pass {passes}"
    after = watch()
    if before.errors is not None and (after.errors or 0) > before.errors:
        return (
            False,
            f"{(after.errors or 0) - before.errors} uncorrectable memory errors under load",
        )
    if reasons & SLOWED:
        return False, f"the hardware slows it down under load, at up to {hottest} C"
    size = sum(words for _, words in chunks) * WORD_BYTES
    return True, f"{size >> 20} MiB and every unit, {passes} times, at up to {hottest} C"


def _chunks(gpu: Gpu) -> list[tuple[int, int]]:
    """(address, words) of all free memory but what is spared."""
    found: list[tuple[int, int]] = []
    while (size := min(CHUNK_BYTES, gpu.free_bytes() - SPARED_BYTES)) > 0:
        words = size // WORD_BYTES
        try:
            found.append((gpu.take(words * WORD_BYTES), words))
        except DriverError:
            break
    if not found:
        raise DriverError("no memory is free")
    return found


def _watch(address: str) -> Any:
    """Reads NVML; says nothing of what this GPU or library does not know."""
    try:
        import pynvml  # type: ignore[import-untyped,unused-ignore]

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByPciBusId(address.encode())
    except Exception:  # noqa: BLE001 - a driver without NVML is loaded all the same
        return lambda: Reading(None, 0, None)

    def asked(name: str, *more: int) -> int | None:
        try:
            return int(getattr(pynvml, name)(handle, *more))
        except Exception:  # noqa: BLE001 - not every GPU has it
            return None

    def read() -> Reading:
        return Reading(
            errors=asked("nvmlDeviceGetTotalEccErrors", UNCORRECTED, VOLATILE),
            reasons=asked("nvmlDeviceGetCurrentClocksThrottleReasons") or 0,
            celsius=asked("nvmlDeviceGetTemperature", 0),
        )

    return read


def main(arguments: list[str]) -> int:
    """0 where it passed or cannot be loaded, 1 where not."""
    address, seconds = arguments
    try:
        is_passed, says = load(address, float(seconds))
        is_loaded = True
    except NotLoadable as error:
        is_passed, is_loaded, says = True, False, str(error)
    except DriverError as error:
        is_passed, is_loaded, says = False, False, str(error)
    answer = {"passed": is_passed, "loaded": is_loaded, "says": says}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if is_passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
