"""A program that waits for SIGUSR1, and whose set of signals lies on a page that never comes.

Its child serves a FUSE file system at a folder, in which a file is never read to an end. It enters
`rt_sigtimedwait` in a thread, and then maps that file over the page that it passed. Prints `ready`.
Who reads that page sleeps, whatever signal it gets, until the child ends, which it does after
SERVED_S. Needs the right to mount; without such a folder it only waits.
"""

import ctypes
import mmap
import os
import platform
import signal
import struct
import sys
import threading
from pathlib import Path

RT_SIGTIMEDWAIT = {"x86_64": 128}.get(platform.machine(), 137)
MAP_FIXED = 0x10
# Operations of the FUSE protocol (linux/fuse.h), and its lengths.
LOOKUP, FORGET, GETATTR, OPEN, READ, INIT, INTERRUPT = 1, 2, 3, 14, 15, 26, 36
ROOT, FILE = 1, 2
FOR_LONG_S = 1000
SERVED_S = 60
NO_SUCH_OPERATION = 38
PR_SET_PDEATHSIG = 1


def attributes(node: int) -> bytes:
    """struct fuse_attr."""
    mode, size = (0o40755, 0) if node == ROOT else (0o100644, 1 << 20)
    numbers = (node, size, 1, 0, 0, 0)
    return struct.pack("<6Q3I6II", *numbers, 0, 0, 0, mode, 1, os.getuid(), os.getgid(), 0, 4096, 0)


def answer(operation: int, node: int) -> bytes | None:
    """What follows the header; None: no such operation."""
    if operation == INIT:
        return struct.pack("<IIIIHHIIHH8I", 7, 31, 65_536, 0, 0, 0, 4096, 1, 0, 0, *[0] * 8)
    if operation == LOOKUP:
        times = struct.pack("<QQQQII", FILE, 0, FOR_LONG_S, FOR_LONG_S, 0, 0)
        return times + attributes(FILE)
    if operation == GETATTR:
        return struct.pack("<QII", FOR_LONG_S, 0, 0) + attributes(node)
    if operation == OPEN:
        return struct.pack("<QII", 1, 0, 0)
    return None


def serve(device: int, library: ctypes.CDLL) -> None:
    """Ends with its parent, too."""
    library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.alarm(SERVED_S)
    while True:
        _, operation, unique, node = struct.unpack_from("<IIQQ", os.read(device, 1 << 20))
        if operation in (READ, FORGET, INTERRUPT):
            continue
        body = answer(operation, node)
        error = -NO_SUCH_OPERATION if body is None else 0
        os.write(device, struct.pack("<IiQ", 16 + len(body or b""), error, unique) + (body or b""))


def main(folder: Path) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    page = library.mmap(None, mmap.PAGESIZE, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    ctypes.c_uint64.from_address(page).value = 1 << (signal.SIGUSR1 - 1)
    wait = (RT_SIGTIMEDWAIT, ctypes.c_void_p(page), None, None, 8)
    if folder.is_dir():
        device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        if library.mount(b"silent", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        if os.fork() == 0:
            serve(device, library)
        os.close(device)
        file = os.open(folder / "file", os.O_RDONLY)
    threading.Thread(target=library.syscall, args=wait, daemon=True).start()
    if folder.is_dir():
        while not any(is_waiting(it) for it in Path("/proc/self/task").iterdir()):
            pass
        flags = mmap.MAP_PRIVATE | MAP_FIXED
        assert library.mmap(page, mmap.PAGESIZE, 1, flags, file, 0) == page
    os.write(1, b"ready\n")
    signal.pause()


def is_waiting(thread: Path) -> bool:
    return (thread / "syscall").read_text().split()[0] == str(RT_SIGTIMEDWAIT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
