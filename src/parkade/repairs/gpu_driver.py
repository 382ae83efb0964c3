"""CUDA's driver interface with nothing beside the driver: memory, kernels, and what they count.

The kernels are PTX, which the driver compiles for the GPU that is there (Volta or newer).

`fill` writes into each 32-bit word a number that follows from its place and a seed; `verify` reads
them back and counts the words that are otherwise. `chain` iterates x -> 3.9 x (1 - x), four times
side by side, in one thread; `burn` does the same in every thread and counts those that end
otherwise: the map is chaotic, so one wrong bit is soon another number.
"""

import ctypes

COUNT_BYTES = 8
"""Of the one number that a kernel gives back."""
THREADS = 256
BLOCKS_PER_UNIT = 8
ATTRIBUTE_MULTIPROCESSOR_COUNT = 16
"""`CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT` of `cuda.h`."""
KERNELS_REFUSED = frozenset({209, 218, 221, 222})
"""No image for this GPU, PTX that the driver does not take, no compiler, a version too new."""

_PLACE = """
.reg .u64 %i, %n, %step, %at, %base, %wide; .reg .u32 %t, %b, %d, %g, %word, %mix, %seed;
.reg .pred %over;
ld.param.u64 %base, [base]; ld.param.u64 %n, [count]; ld.param.u32 %seed, [seed];
mov.u32 %t, %tid.x; mov.u32 %b, %ctaid.x; mov.u32 %d, %ntid.x; mov.u32 %g, %nctaid.x;
mul.wide.u32 %i, %b, %d; cvt.u64.u32 %wide, %t; add.u64 %i, %i, %wide;
mul.wide.u32 %step, %d, %g;
again: setp.ge.u64 %over, %i, %n; @%over bra done;
cvt.u32.u64 %word, %i; xor.b32 %word, %word, %seed; mul.lo.u32 %word, %word, 2654435761;
shr.u32 %mix, %word, 15; xor.b32 %word, %word, %mix; mul.lo.u32 %word, %word, 2246822519;
shl.b64 %at, %i, 2; add.u64 %at, %at, %base;
"""
_NEXT = "add.u64 %i, %i, %step; bra again;\ndone: ret;"
_MAP = """
mov.u32 %k, 0;
mov.f32 %x0, 0f3E4CCCCD; mov.f32 %x1, 0f3E99999A; mov.f32 %x2, 0f3ECCCCCD; mov.f32 %x3, 0f3F19999A;
again:
neg.f32 %y0, %x0; neg.f32 %y1, %x1; neg.f32 %y2, %x2; neg.f32 %y3, %x3;
fma.rn.f32 %y0, %y0, %x0, %x0; fma.rn.f32 %y1, %y1, %x1, %x1;
fma.rn.f32 %y2, %y2, %x2, %x2; fma.rn.f32 %y3, %y3, %x3, %x3;
mul.rn.f32 %x0, %y0, 0f4079999A; mul.rn.f32 %x1, %y1, 0f4079999A;
mul.rn.f32 %x2, %y2, 0f4079999A; mul.rn.f32 %x3, %y3, 0f4079999A;
add.u32 %k, %k, 1; setp.lt.u32 %more, %k, %turns; @%more bra again;
mov.b32 %w0, %x0; mov.b32 %w1, %x1; mov.b32 %w2, %x2; mov.b32 %w3, %x3;
shl.b32 %w1, %w1, 1; shl.b32 %w2, %w2, 2; shl.b32 %w3, %w3, 3;
xor.b32 %w0, %w0, %w1; xor.b32 %w2, %w2, %w3; xor.b32 %w0, %w0, %w2;
"""
_NUMBERS = """
.reg .u64 %out; .reg .u32 %k, %turns, %wanted; .reg .b32 %w<4>; .reg .f32 %x<4>, %y<4>;
.reg .pred %more, %same; .reg .u64 %one;
ld.param.u64 %out, [out]; ld.param.u32 %turns, [turns];
"""
PTX = f"""
.version 6.4
.target sm_70
.address_size 64
.visible .entry fill(.param .u64 base, .param .u64 count, .param .u32 seed) {{
{_PLACE}
st.global.u32 [%at], %word;
{_NEXT}
}}
.visible .entry verify(.param .u64 base, .param .u64 count, .param .u32 seed, .param .u64 errors) {{
.reg .u32 %seen; .reg .u64 %errors, %one; .reg .pred %same;
ld.param.u64 %errors, [errors];
{_PLACE}
ld.global.u32 %seen, [%at]; setp.eq.u32 %same, %seen, %word;
@!%same atom.global.add.u64 %one, [%errors], 1;
{_NEXT}
}}
.visible .entry chain(.param .u64 out, .param .u32 turns) {{
{_NUMBERS}
{_MAP}
st.global.u32 [%out], %w0;
ret;
}}
.visible .entry burn(.param .u64 out, .param .u32 turns, .param .u32 wanted) {{
{_NUMBERS}
ld.param.u32 %wanted, [wanted];
{_MAP}
setp.eq.u32 %same, %w0, %wanted;
@!%same atom.global.add.u64 %one, [%out], 1;
ret;
}}
"""


class DriverError(Exception):
    """The driver refused a call; the message names it and the code."""


class NotLoadable(Exception):
    """This driver or GPU takes no such kernels, which says nothing of its health."""


class Gpu:
    """One GPU, by its PCI address. Every method returns when the GPU is done."""

    def __init__(self, address: str) -> None:
        """Raises NotLoadable, and DriverError where a call fails."""
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise NotLoadable(str(error)) from error
        self._call("cuInit", 0)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuDeviceGetByPCIBusId", ctypes.byref(device), address.encode())
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        units, self._module = ctypes.c_int(), ctypes.c_void_p()
        attribute = ATTRIBUTE_MULTIPROCESSOR_COUNT
        self._call("cuDeviceGetAttribute", ctypes.byref(units), attribute, device)
        self.blocks = units.value * BLOCKS_PER_UNIT
        text = ctypes.c_char_p(PTX.encode())
        code = self._library.cuModuleLoadData(ctypes.byref(self._module), text)
        if code in KERNELS_REFUSED:
            raise NotLoadable(f"cuModuleLoadData answers {code}")
        self._check("cuModuleLoadData", code)
        self._count = self.take(COUNT_BYTES)

    def free_bytes(self) -> int:
        """Memory that no process has."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def take(self, size: int) -> int:
        """The address of so much memory. DriverError where there is not that much."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address.value

    def write(self, address: int, word: int, count: int) -> None:
        """So many words of one value."""
        self._call(
            "cuMemsetD32_v2", ctypes.c_uint64(address), ctypes.c_uint(word), ctypes.c_size_t(count)
        )

    def fill(self, address: int, words: int, seed: int) -> None:
        """See the module."""
        self._run("fill", self.blocks, THREADS, _u64(address), _u64(words), _u32(seed))

    def verify(self, address: int, words: int, seed: int) -> int:
        """How many words are not as `fill` left them."""
        self.write(self._count, 0, 2)
        given = (_u64(address), _u64(words), _u32(seed), _u64(self._count))
        self._run("verify", self.blocks, THREADS, *given)
        return self._read(self._count)

    def chain(self, turns: int) -> int:
        """What one thread computes."""
        self.write(self._count, 0, 2)
        self._run("chain", 1, 1, _u64(self._count), _u32(turns))
        return self._read(self._count)

    def burn(self, turns: int, wanted: int) -> int:
        """How many of all threads compute another number than `wanted`."""
        self.write(self._count, 0, 2)
        self._run("burn", self.blocks, THREADS, _u64(self._count), _u32(turns), _u32(wanted))
        return self._read(self._count)

    def _read(self, address: int) -> int:
        value = ctypes.c_uint64()
        size = ctypes.c_size_t(COUNT_BYTES)
        self._call("cuMemcpyDtoH_v2", ctypes.byref(value), ctypes.c_uint64(address), size)
        return value.value

    def _run(
        self, name: str, blocks: int, threads: int, *given: "ctypes._SimpleCData[int]"
    ) -> None:
        function = ctypes.c_void_p()
        self._call(
            "cuModuleGetFunction",
            ctypes.byref(function),
            self._module,
            ctypes.c_char_p(name.encode()),
        )
        values = (ctypes.c_void_p * len(given))(*(ctypes.addressof(each) for each in given))
        self._call("cuLaunchKernel", function, blocks, 1, 1, threads, 1, 1, 0, None, values, None)
        self._call("cuCtxSynchronize")

    def _call(self, name: str, *given: object) -> None:
        self._check(name, getattr(self._library, name)(*given))

    def _check(self, name: str, code: int) -> None:
        if code:
            raise DriverError(f"{name} answers {code}")


def _u64(value: int) -> ctypes.c_uint64:
    return ctypes.c_uint64(value)


def _u32(value: int) -> ctypes.c_uint32:
    return ctypes.c_uint32(value)
