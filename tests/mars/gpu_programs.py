"""A program on a real GPU, through the driver's own interface: `python gpu_programs.py WHAT …`.

`hold BYTES` takes memory of the first device that it sees, says so, and stays. `address`, `align`
and `trap` run a kernel with that fault, for which the driver writes an Xid. `spin` runs a kernel
that never ends. It needs the driver alone: no toolkit and no framework.
"""

import ctypes
import json
import signal
import sys

HEAD = b".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry f(.param .u64 p) {\n"
STORE = b".reg .u64 %a; .reg .u32 %v; ld.param.u64 %a, [p]; mov.u32 %v, 7; st.global.u32 [%a], %v;"
BODIES = {
    "address": STORE,
    "align": STORE,
    "trap": b"trap;",
    "spin": b"again: bra.uni again;",
}
"""Kernels in PTX, which the driver compiles for whatever GPU is there."""


class Driver:
    """CUDA's driver interface, with the device's own context."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        self("cuInit", 0)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self("cuDeviceGet", ctypes.byref(device), 0)
        self("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self("cuCtxSetCurrent", context)

    def __call__(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise SystemExit(f"{name} answers {code}")

    def devices(self) -> int:
        """How many this process may use."""
        count = ctypes.c_int()
        self("cuDeviceGetCount", ctypes.byref(count))
        return count.value

    def take(self, size: int) -> int:
        """Takes memory, writes it, and returns its address."""
        address = ctypes.c_uint64()
        self("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        self("cuMemsetD8_v2", address, ctypes.c_ubyte(7), ctypes.c_size_t(size))
        return address.value

    def launch(self, body: bytes, argument: int) -> None:
        """Starts a kernel of one thread; returns before it ends."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        text = HEAD + body + b"\nret;\n}\n"
        self("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(text))
        self("cuModuleGetFunction", ctypes.byref(function), module, b"f")
        value = ctypes.c_uint64(argument)
        values = (ctypes.c_void_p * 1)(ctypes.addressof(value))
        self("cuLaunchKernel", function, 1, 1, 1, 1, 1, 1, 0, None, values, None)


def main(words: list[str]) -> None:
    """See the module."""
    driver = Driver()
    what = words[0]
    size = int(words[1]) if what == "hold" else 4_096
    address = driver.take(size)
    if what != "hold":
        driver.launch(BODIES[what], {"address": 16, "align": address + 1}.get(what, address))
    sys.stdout.write(json.dumps({"devices": driver.devices(), "bytes": size}) + "\n")
    sys.stdout.flush()
    if what in ("hold", "spin"):
        signal.pause()
    driver("cuCtxSynchronize")


if __name__ == "__main__":
    main(sys.argv[1:])
