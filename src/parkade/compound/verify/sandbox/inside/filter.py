"""A seccomp filter from the table of allowed system calls, as a program of classic BPF.

The program looks at one system call: the machine it is made for, its number, and for a few the
low half of one argument. What it does not know it refuses with EPERM; `clone3`, whose arguments
it could not see, with ENOSYS, so that the C library falls back to `clone`.

Each instruction is eight bytes: operation, jump if true, jump if false, constant (seccomp(2)).
"""

import errno
import platform
import struct

from parkade.compound.verify.sandbox.inside.syscalls import ALWAYS, SOMETIMES

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

NUMBER_AT, MACHINE_AT, ARGUMENTS_AT = 0, 4, 16

ALLOW = 0x7FFF_0000
KILL = 0x8000_0000
REFUSE = 0x0005_0000 | errno.EPERM
UNKNOWN = 0x0005_0000 | errno.ENOSYS

# Machine: its column in the tables, and its number in the kernel's `audit.h`.
MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
MOST_JUMP = 256

NEW_NAMESPACES = 0x7E02_0000
AF_UNIX = 1
TERMINAL_GET, WINDOW_SIZE, READABLE, NON_BLOCKING = 0x5401, 0x5413, 0x541B, 0x5421
CLOSE_ON_EXEC = (0x5450, 0x5451)
SET_NAME, GET_NAME, NAME_MEMORY = 15, 16, 0x5356_4D41
MAP_FLAGS_ARGUMENT, MAP_SHARED, MAP_ANONYMOUS = 3, 0x01, 0x20

# System call: which argument is looked at, and the values of it that are allowed.
ALLOWED_VALUES: dict[str, tuple[int, tuple[int, ...]]] = {
    "socketpair": (0, (AF_UNIX,)),
    "ioctl": (1, (TERMINAL_GET, WINDOW_SIZE, READABLE, NON_BLOCKING, *CLOSE_ON_EXEC)),
    "prctl": (0, (SET_NAME, GET_NAME, NAME_MEMORY)),
}


def is_known(machine: str) -> bool:
    """Whether there is a filter for the machine, by its name in `platform.machine()`."""
    return machine in MACHINES


def program(machine: str | None = None) -> bytes:
    """The filter for a machine (default: this one); KeyError where `is_known` is false."""
    column, number = MACHINES[machine or platform.machine()]
    code = [_load(MACHINE_AT), *_unless(JUMP_EQUAL, number, KILL), _load(NUMBER_AT)]
    for name, numbers in SOMETIMES.items():
        one = numbers[column]
        assert one is not None
        body = _sometimes(name)
        code += [_instruction(JUMP_EQUAL, 0, len(body), one), *body]
    allowed = sorted(call for numbers in ALWAYS.values() if (call := numbers[column]) is not None)
    return b"".join([*code, *_tree(_borders(allowed), 0)])


def _borders(allowed: list[int]) -> list[int]:
    """Where the answer changes, in order: from the first refused to allowed, and so on in turn."""
    borders: list[int] = []
    for number in allowed:
        if borders and borders[-1] == number:
            borders[-1] = number + 1
        else:
            borders += [number, number + 1]
    return borders


def _tree(borders: list[int], passed: int) -> list[bytes]:
    """Finds a number's place among the borders by halving; `passed` lie at or below it.

    The kernel tries a new filter on each system call once, so its depth is paid for in each job.
    """
    if not borders:
        return [_instruction(RETURN, 0, 0, ALLOW if passed % 2 else REFUSE)]
    middle = len(borders) // 2
    below = _tree(borders[:middle], passed)
    beyond = _tree(borders[middle + 1 :], passed + middle + 1)
    assert len(below) < MOST_JUMP
    return [_instruction(JUMP_AT_LEAST, len(below), 0, borders[middle]), *below, *beyond]


def _sometimes(name: str) -> list[bytes]:
    if name == "clone3":
        return [_instruction(RETURN, 0, 0, UNKNOWN)]
    if name == "clone":
        is_new = _if(JUMP_ANY_BIT, NEW_NAMESPACES, REFUSE)
        return [_load(ARGUMENTS_AT), *is_new, _instruction(RETURN, 0, 0, ALLOW)]
    if name == "mmap":
        return _unshared()
    argument, values = ALLOWED_VALUES[name]
    tests = [part for value in values for part in _if(JUMP_EQUAL, value, ALLOW)]
    refuse = _instruction(RETURN, 0, 0, REFUSE)
    return [_load(ARGUMENTS_AT + 8 * argument), *tests, refuse]


def _unshared() -> list[bytes]:
    """Memory that processes share without a file is refused: what they let go of and the kernel
    keeps for the others is in no count of theirs."""
    return [
        _load(ARGUMENTS_AT + 8 * MAP_FLAGS_ARGUMENT),
        _instruction(JUMP_ANY_BIT, 0, 2, MAP_ANONYMOUS),
        *_if(JUMP_ANY_BIT, MAP_SHARED, REFUSE),
        _instruction(RETURN, 0, 0, ALLOW),
    ]


def _load(offset: int) -> bytes:
    return _instruction(LOAD, 0, 0, offset)


def _if(jump: int, constant: int, answer: int) -> list[bytes]:
    return [_instruction(jump, 0, 1, constant), _instruction(RETURN, 0, 0, answer)]


def _unless(jump: int, constant: int, answer: int) -> list[bytes]:
    return [_instruction(jump, 1, 0, constant), _instruction(RETURN, 0, 0, answer)]


def _instruction(operation: int, if_true: int, if_false: int, constant: int) -> bytes:
    return struct.pack("<HBBI", operation, if_true, if_false, constant)
