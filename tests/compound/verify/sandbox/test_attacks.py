"""Hostile programs: each is rejected within its limits, leaves nothing, and the next is answered.

An attack that works makes `f(1)` give 2, so that its success is a pass and fails the test here.
"""

import asyncio
import os
import platform
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from parkade.compound.verify.sandbox.jobs import JobEnding
from parkade.compound.verify.sandbox.limits import MEBIBYTE, SECOND_US, Limits
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.verify.sandbox.attack import PATIENT, Aftermath, attack, job

pytestmark = pytest.mark.system

ONE_CPU_SECOND = msgspec.structs.replace(PATIENT, cpu_seconds=1)
FEW_PROCESSES = msgspec.structs.replace(PATIENT, cpu_seconds=1, processes=3)
HALF_A_SECOND = msgspec.structs.replace(PATIENT, wall_us=SECOND_US // 2)
SMALL = msgspec.structs.replace(
    PATIENT, memory_bytes=64 * MEBIBYTE, file_bytes=4 * MEBIBYTE, files=32, output_bytes=MEBIBYTE
)


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """A program and how it must end."""

    name: str
    source: str
    #: In the reason of the verdict.
    reason: str
    limits: Limits = PATIENT
    ending: JobEnding = JobEnding.FINISHED
    tests: str = "assert f(1) == 2\n"


def f(body: str, head: str = "import os") -> str:
    """A function that does the body, and then gives the right answer."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return f"{head}\ndef f(x):\n{lines}    return x + 1\n"


EXHAUST_TIME = (
    Attack(
        name="endless loop", source=f("while True: pass"), reason="CPU time",
        limits=ONE_CPU_SECOND, ending=JobEnding.CPU,
    ),
    Attack(
        name="endless loop at import", source="while True: pass", reason="CPU time",
        limits=ONE_CPU_SECOND, ending=JobEnding.CPU,
    ),
    Attack(
        name="endless loop that ignores signals",
        source=f(
            "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
            "    except (OSError, ValueError): pass\nwhile True: pass", "import signal",
        ),
        reason="CPU time", limits=ONE_CPU_SECOND, ending=JobEnding.CPU,
    ),
    Attack(
        name="endless regular expression",
        source=f("re.match('(a+)+$', 'a' * 64 + 'b')", "import re"),
        reason="CPU time", limits=ONE_CPU_SECOND, ending=JobEnding.CPU,
    ),
    Attack(
        name="endless output", source=f("while True: print('x' * 10000)"), reason="CPU time",
        limits=ONE_CPU_SECOND, ending=JobEnding.CPU,
    ),
    Attack(
        name="sleep", source=f("time.sleep(1e6)", "import time"), reason="wall time",
        limits=HALF_A_SECOND, ending=JobEnding.WALL,
    ),
    Attack(
        name="sleep at import", source="import time\ntime.sleep(1e6)", reason="wall time",
        limits=HALF_A_SECOND, ending=JobEnding.WALL,
    ),
    Attack(
        name="waits for a lock for ever",
        source=f("lock = threading.Lock(); lock.acquire(); lock.acquire()", "import threading"),
        reason="wall time", limits=HALF_A_SECOND, ending=JobEnding.WALL,
    ),
    Attack(
        name="stops itself", source=f("os.kill(os.getpid(), 19); os.kill(os.getpid(), 20)\nf(x)"),
        reason="RecursionError", limits=PATIENT,
    ),
)  # fmt: skip

EXHAUST_PROCESSES = (
    Attack(name="fork bomb", source=f("while True: os.fork()"), reason="BlockingIOError"),
    Attack(
        name="fork bomb that goes on",
        source=f("while True:\n    try: os.fork()\n    except OSError: pass"),
        reason="CPU time", limits=FEW_PROCESSES, ending=JobEnding.CPU,
    ),
    Attack(
        name="sleeping fork bomb",
        source=f(
            "while True:\n    try: os.fork()\n    except OSError: time.sleep(1e6)",
            "import os, time",
        ),
        reason="wall time", limits=HALF_A_SECOND, ending=JobEnding.WALL,
    ),
    Attack(
        name="daemon that forks twice",
        source=f(
            "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
            "        os.closerange(0, 64)\n        while True: time.sleep(1)\n    os._exit(0)\n"
            "os.wait()\nraise ValueError('a daemon runs')",
            "import os, time",
        ),
        reason="a daemon runs",
    ),
    Attack(
        name="daemon whose parent dies",
        source=f("if os.fork():\n    os._exit(0)\nwhile True: time.sleep(1)", "import os, time"),
        reason="before it had answered",
    ),
    Attack(
        name="threads without end",
        source=f(
            "while True: threading.Thread(target=time.sleep, args=(1e6,)).start()",
            "import threading, time",
        ),
        reason="can't start new thread",
    ),
)  # fmt: skip

EXHAUST_ROOM = (
    Attack(
        name="memory", source=f("a = []\nwhile True: a.append(bytearray(1 << 20))"),
        reason="MemoryError", limits=SMALL,
    ),
    Attack(
        name="memory at once", source=f("bytearray(1 << 40)"), reason="MemoryError", limits=SMALL,
    ),
    Attack(
        name="memory of many processes",
        source=f(
            "for _ in range(6):\n    if os.fork() == 0: break\n"
            "a = bytearray(b'x') * (40 << 20)\ntime.sleep(1e6)", "import os, time",
        ),
        reason="more than its memory", limits=SMALL, ending=JobEnding.MEMORY,
    ),
    Attack(
        name="memory that processes share",
        source=f("mmap.mmap(-1, 1 << 20)", "import mmap"), reason="PermissionError", limits=SMALL,
    ),
    Attack(
        name="memory that processes share, by a device",
        source=f("mmap.mmap(os.open('/dev/zero', os.O_RDWR), 1 << 20)", "import mmap, os"),
        reason="Error", limits=SMALL,
    ),
    Attack(
        name="memory in a file without a name", source=f("os.memfd_create('x')"),
        reason="PermissionError", limits=SMALL,
    ),
    Attack(
        name="one large file",
        source=f("with open('/tmp/x', 'wb') as file:\n    while True: file.write(bytes(1 << 20))"),
        reason="OSError", limits=SMALL,
    ),
    Attack(
        name="many files of some size",
        source=f("for n in range(30): open(f'/tmp/{n}', 'wb').write(bytes(1 << 20))"),
        reason="No space left", limits=SMALL,
    ),
    Attack(
        name="inodes", source=f("for n in range(10_000): os.mkdir(f'/tmp/{n}')"),
        reason="No space left", limits=SMALL,
    ),
    Attack(
        name="descriptors", source=f("while True: os.dup(0)"), reason="Too many open files",
        limits=SMALL,
    ),
    Attack(
        name="pipes", source=f("while True: os.pipe()"), reason="Too many open files", limits=SMALL,
    ),
    Attack(
        name="raises its limits",
        source=f(
            "resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))", "import resource",
        ),
        reason="ValueError",
    ),
    Attack(
        name="a long answer", source="def f(x): return 'x' * (1 << 21)", reason="a message of",
        limits=SMALL,
    ),
    Attack(
        name="a deep answer",
        source="def f(x):\n    a = []\n    for _ in range(100_000): a = [a]\n    return a",
        reason="nested", limits=SMALL,
    ),
    Attack(
        name="an endless answer", source="import itertools\ndef f(x): return itertools.count()",
        reason="iterator of more than", limits=SMALL,
    ),
    Attack(
        name="a deep stack",
        source=f(
            "sys.setrecursionlimit(1 << 30)\ng = lambda _: list(map(g, [0]))\ng(0)", "import sys"
        ),
        reason="", ending=JobEnding.CRASHED,
    ),
    Attack(
        name="a crash", source=f("ctypes.string_at(0)", "import ctypes"),
        reason="ended its process", ending=JobEnding.CRASHED,
    ),
)  # fmt: skip

REACH_OUT = (
    Attack(
        name="internet socket", source=f("socket.socket()", "import socket"),
        reason="PermissionError",
    ),
    Attack(
        name="connection",
        source=f("socket.create_connection(('127.0.0.1', 22))", "import socket"),
        reason="PermissionError",
    ),
    Attack(
        name="local socket", source=f("socket.socket(socket.AF_UNIX)", "import socket"),
        reason="PermissionError",
    ),
    Attack(
        name="name resolution", source=f("socket.getaddrinfo('example.com', 80)", "import socket"),
        reason="name resolution",
    ),
    Attack(
        name="password file", source=f("open('/etc/shadow').read()"), reason="FileNotFoundError",
    ),
    Attack(
        name="list of users", source=f("open('/etc/passwd').read()"), reason="FileNotFoundError",
    ),
    Attack(
        name="home folders", source=f("os.listdir('/home') + os.listdir('/root')"),
        reason="FileNotFoundError",
    ),
    Attack(
        name="its own home folder", source=f("os.listdir(os.path.expanduser('~'))[0]"),
        reason="IndexError",
    ),
    Attack(
        name="environment", source=f("os.environ['PARKADE_TEST_SECRET']"), reason="KeyError",
    ),
    Attack(
        name="environment of the first process", source=f("open('/proc/1/environ').read()"),
        reason="FileNotFoundError",
    ),
    Attack(
        name="write to the root", source=f("open('/x', 'w')"),
        reason="Read-only file system" if os.geteuid() else "",
    ),
    Attack(
        name="packages of the machine",
        source=f("found = [p for root in ('/usr', '/usr/local', sys.base_prefix)\n"
                 "    for p in glob.glob(root + '/lib*/python3*/*-packages/*')]\n"
                 "for folder in ('/usr/local', '/usr/src'):\n"
                 "    if not sys.base_prefix.startswith(folder) and os.path.isdir(folder):\n"
                 "        found += os.listdir(folder)\n"
                 "raise ValueError(f'seen: {found[:3]}')", "import glob, os, sys"),
        reason="seen: []",
    ),
    Attack(name="write to /usr", source=f("open('/usr/x', 'w')"), reason=""),
    Attack(name="write to /dev", source=f("open('/dev/x', 'w')"), reason=""),
    Attack(
        name="write to the sandbox's own code",
        source=f("open(sys.modules['__main__'].__file__, 'a')", "import sys"), reason="",
    ),
    Attack(
        name="another program", source=f("subprocess.run(['/usr/bin/env'], check=True)",
        "import subprocess"), reason="PermissionError",
    ),
    Attack(
        name="signals to all", source=f("os.kill(-1, 9)"), reason="ProcessLookupError",
    ),
    Attack(
        name="signals to its parent",
        source=f("assert os.getppid() == 0\nos.kill(os.getppid(), 9)\nos.killpg(0, 9)\n"
                 "raise ValueError('still here')"),
        reason="still here",
    ),
    Attack(
        name="signals to every number",
        source=f("for n in range(2, 70_000):\n    try: os.kill(n, 9)\n"
                 "    except ProcessLookupError: continue\n    break\n"
                 "else: raise ValueError('none')"),
        reason="none",
    ),
)  # fmt: skip

SYSTEM_CALL = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)"
CALLS = {
    "trace a process": "libc.ptrace(16, 2, 0, 0)",
    "read another's memory": "libc.process_vm_readv(2, 0, 0, 0, 0, 0)",
    "new mount namespace": "libc.unshare(0x20000)",
    "new user namespace": "libc.unshare(0x10000000)",
    "mount": "libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, b'')",
    "unmount": "libc.umount2(b'/tmp', 2)",
    "new root": "libc.chroot(b'/tmp')",
    "namespace by a clone": "libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "shared memory": "libc.shmget(1, 4096, 0o1666)",
    "message queue": "libc.msgget(1, 0o1666)",
    "kernel keys": "libc.syscall(250, 0, 0)",
    "BPF": "libc.syscall(321, 0, 0, 0)",
    "performance events": "libc.syscall(298, 0, 0, 0, 0, 0)",
    "page faults by hand": "libc.syscall(323, 0)",
    "io_uring": "libc.syscall(425, 1, 0)",
    "a handle of a file": "libc.syscall(304, 0, 0, 0)",
    "another user": "libc.setuid(0)",
    "another personality": "libc.personality(0)",
    "a device": "libc.mknod(b'/tmp/x', 0o60666, 0)",
}
SYSTEM_CALLS = tuple(
    Attack(
        name=name,
        source=f(
            f"if {call} == -1: raise OSError(ctypes.get_errno(), 'refused')", SYSTEM_CALL
        ),
        reason="PermissionError",
    )
    for name, call in CALLS.items()
    if platform.machine() == "x86_64" or "syscall" not in call  # Numbers are of this machine.
)  # fmt: skip

ATTACKS = (*EXHAUST_TIME, *EXHAUST_PROCESSES, *EXHAUST_ROOM, *REACH_OUT, *SYSTEM_CALLS)


@pytest.fixture(scope="module")
def secret() -> Iterator[None]:
    """A secret in the environment of the program that has the sandbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARKADE_TEST_SECRET", "swordfish")
        yield


def check(found: Aftermath, expected: Attack) -> None:
    """Rejected for the expected reason, nothing left, the next job answered."""
    assert not found.outcome.is_passed
    assert expected.reason in found.outcome.reason
    assert found.outcome.ending is expected.ending, found.outcome
    assert found.left == ()
    assert found.is_next_passed


#: A limit of CPU time takes a second of it to meet, for each process: two tell that it holds.
FAST = ("endless loop", "endless loop that ignores signals")


def _marked(one: Attack, *, is_slow: bool) -> Any:
    return pytest.param(one, id=one.name, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize(
    "one",
    [_marked(one, is_slow=one.ending is JobEnding.CPU and one.name not in FAST) for one in ATTACKS],
)
def test_an_attack_is_rejected_within_its_limits_and_leaves_nothing(
    one: Attack, secret: None, runner: asyncio.Runner, own_sandbox: Sandbox
) -> None:
    check(runner.run(attack(own_sandbox, job(one.source, one.tests), one.limits)), one)


#: Limits of a process are the same wall for any user.
AS_ANY_USER = (*EXHAUST_TIME, *EXHAUST_ROOM)


@pytest.mark.parametrize("one", [_marked(one, is_slow=one in AS_ANY_USER) for one in ATTACKS])
def test_an_attack_fails_as_well_on_the_sandbox_of_an_ordinary_user(
    one: Attack, secret: None, runner: asyncio.Runner, nobodys_sandbox: Sandbox
) -> None:
    check(runner.run(attack(nobodys_sandbox, job(one.source, one.tests), one.limits)), one)
