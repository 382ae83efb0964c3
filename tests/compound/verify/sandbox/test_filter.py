"""The filter's program, run by an interpreter of the few instructions it uses."""

import struct

import pytest

from parkade.compound.verify.sandbox.inside import filter
from parkade.compound.verify.sandbox.inside.syscalls import ALWAYS, SOMETIMES

MACHINES = tuple(filter.MACHINES)


def answer(machine: str, number: int, arguments: tuple[int, ...] = (), audit: int = 0) -> int:
    """What the filter of a machine answers to a system call."""
    code = filter.program(machine)
    said = audit or filter.MACHINES[machine][1]
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    call = struct.pack("<IIQ6Q", number, said, 0, *padded)
    accumulator = at = 0
    while True:
        operation, if_true, if_false, constant = struct.unpack_from("<HBBI", code, 8 * at)
        at += 1
        match operation:
            case filter.LOAD:
                (accumulator,) = struct.unpack_from("<I", call, constant)
            case filter.JUMP_EQUAL:
                at += if_true if accumulator == constant else if_false
            case filter.JUMP_AT_LEAST:
                at += if_true if accumulator >= constant else if_false
            case filter.JUMP_ANY_BIT:
                at += if_true if accumulator & constant else if_false
            case filter.RETURN:
                return int(constant)
            case _:
                raise AssertionError(f"no operation {operation:#x}")


@pytest.mark.parametrize("machine", MACHINES)
def test_exactly_the_calls_of_the_table_are_allowed(machine: str) -> None:
    column = filter.MACHINES[machine][0]
    allowed = {numbers[column] for numbers in ALWAYS.values()}
    sometimes = {numbers[column] for numbers in SOMETIMES.values()}
    for number in (*range(1_000), 0x4000_0000, 0x4000_0001, 0xFFFF_FFFF):
        if number not in sometimes:
            expected = filter.ALLOW if number in allowed else filter.REFUSE
            assert answer(machine, number) == expected, number


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_made_for_another_machine_ends_the_process(machine: str) -> None:
    assert answer(machine, 0, audit=0x4000_0003) == filter.KILL


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (17,), filter.ALLOW),
        ("clone", (0x0100_0011,), filter.ALLOW),
        ("clone", (0x1000_0011,), filter.REFUSE),
        ("clone", (0x2000_0011,), filter.REFUSE),
        ("clone", (0x0002_0011,), filter.REFUSE),
        ("clone3", (), filter.UNKNOWN),
        ("socketpair", (1,), filter.ALLOW),
        ("socketpair", (2,), filter.REFUSE),
        ("socketpair", (16,), filter.REFUSE),
        ("ioctl", (0, 0x5401), filter.ALLOW),
        ("ioctl", (0, 0x5412), filter.REFUSE),
        ("prctl", (15,), filter.ALLOW),
        ("prctl", (4,), filter.REFUSE),
        ("prctl", (22,), filter.REFUSE),
        ("mmap", (0, 1 << 20, 3, 0x22), filter.ALLOW),
        ("mmap", (0, 1 << 20, 3, 0x01), filter.ALLOW),
        ("mmap", (0, 1 << 20, 3, 0x21), filter.REFUSE),
        ("mmap", (0, 1 << 20, 3, 0x23), filter.REFUSE),
        ("mmap", (0, 1 << 20, 3, 0x8000_0021), filter.REFUSE),
    ],
)
def test_some_calls_are_allowed_with_some_arguments(
    machine: str, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    number = SOMETIMES[name][filter.MACHINES[machine][0]]
    assert number is not None
    assert answer(machine, number, arguments) == expected


DANGEROUS = (
    "socket", "connect", "bind", "execve", "execveat", "ptrace", "process_vm_readv", "unshare",
    "setns", "mount", "umount2", "pivot_root", "chroot", "bpf", "perf_event_open", "keyctl",
    "io_uring_setup", "userfaultfd", "memfd_create", "shmget", "mq_open", "setuid", "setresuid",
    "capset", "init_module", "kexec_load", "reboot", "mknodat", "personality", "seccomp",
    "open_by_handle_at", "process_madvise", "pidfd_getfd", "sendmsg", "recvmsg",
)  # fmt: skip


@pytest.mark.parametrize("name", DANGEROUS)
def test_no_dangerous_call_is_in_the_tables(name: str) -> None:
    assert name not in ALWAYS and name not in SOMETIMES


def test_the_program_is_as_long_as_the_kernel_takes() -> None:
    for machine in MACHINES:
        assert len(filter.program(machine)) // 8 < 4096
