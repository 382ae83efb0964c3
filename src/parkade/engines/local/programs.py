"""Finds the trainer processes of a rank: which are asked to save, and which are left alone.

Theory of operation
-------------------
The command of a rank is a tree of processes, and the trainer is seldom its root: `bash -c 'python
train.py | tee log'`, `torchrun train.py`, `uv run train.py`. A signal to the wrong process loses
the save: a shell dies of it and leaves the trainer untold, a launcher starts its own clock, a data
loader that dies takes its trainer along. So the tree is walked from the root down, and each process
is one of four:

    shell        goes on to its children, unless it has a handler for the signal (`trap`): then its
                 author wants it, and it is the trainer
    launcher     goes on to its children: known by name, or a process that has no handler and is
                 doing nothing but wait for a child (a Python script in `subprocess.run`)
    bystander    `tee` and its like at the other end of a pipe; never asked
    trainer      all others; nothing below a trainer is looked at, whatever it started

A trainer is *listening* if it has a handler for the signal or takes it without one (`listening`).
Only then is it asked; one that does not listen yet is looked at again until the deadline.

Example. `python train.py | tee log` with SIGTERM: bash (shell) → python (trainer, listening: asked)
and tee (bystander). The data loaders below python are never seen.

Everything is read from /proc, so a process may be gone or another by the time it is signalled; the
pair of pid and start time settles that (`processes.send`). Cost: four small files for each process
down to the trainers, at most MOST_LOOKED. The facts behind the lists are in decision record 40.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path

import msgspec

from parkade.engines.local import listening, processes
from parkade.engines.local.processes import PROC, Process

SHELLS = frozenset({"ash", "bash", "busybox", "dash", "fish", "ksh", "mksh", "rbash", "sh", "zsh"})
BYSTANDERS = frozenset(
    {"awk", "cat", "cut", "gawk", "grep", "head", "less", "logger", "mawk", "pv", "rotatelogs"}
    | {"sed", "sleep", "tail", "tee", "tr", "ts"}
)
LAUNCHERS = frozenset(
    {"accelerate", "apptainer", "conda", "deepspeed", "doas", "dumb-init", "flock", "gdb"}
    | {"hatch", "hydra_pmi_proxy", "ionice", "make", "mamba", "micromamba", "mpiexec"}
    | {"mpiexec.hydra", "mpirun", "ncu", "nice", "nohup", "nsys", "orted", "orterun", "parallel"}
    | {"pdm", "pipenv", "pixi", "poetry", "prte", "prted", "prterun", "rye", "runuser", "script"}
    | {"setsid", "singularity", "srun", "starter", "starter-suid", "stdbuf", "strace", "su"}
    | {"sudo", "time", "timeout", "tini", "torchrun", "torchx", "uv", "uvx", "xargs"}
)
LAUNCHER_MODULES = frozenset(
    {"accelerate.commands.accelerate_cli", "accelerate.commands.launch", "conda"}
    | {"deepspeed.launcher.launch", "deepspeed.launcher.runner", "torch.distributed.launch"}
    | {"torch.distributed.run"}
)
INTERPRETERS = ("python", "pypy")
WAITING = "do_wait"
MOST_LOOKED = 4096
TAKES_A_WORD = ("-X", "-W")
SIGINT = 2
HAS_CHILDREN = (PROC / "thread-self" / "children").exists()
"""Whether the kernel lists the children of a thread."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A process as the walk sees it: `words` are its arguments, `caught` its mask of handlers."""

    pid: int
    start_ticks: int
    words: tuple[str, ...]
    caught: int
    is_waiting: bool

    def listens_to(self, number: int) -> bool:
        """Whether it has a handler of its own, or takes the signal without one. A shell catches
        SIGINT without a handler of its author's."""
        if number == SIGINT and self.name in SHELLS:
            return False
        bit = 1 << (number - 1)
        return bool(self.caught & bit) or bool(listening.taken(self.pid) & bit)

    def blocks(self, number: int) -> bool:
        """Whether all its threads block the signal, so that it may look for it now and then."""
        return bool(listening.blocked(self.pid) >> (number - 1) & 1)

    @property
    def name(self) -> str:
        """What it calls itself: of a script, the script's own."""
        return _names(self.words)[0]

    @property
    def is_launcher(self) -> bool:
        """Whether it is known to start trainers and to be none."""
        name, module = _names(self.words)
        return name in LAUNCHERS or module in LAUNCHER_MODULES


def trainers(root: int, numbers: Iterable[int]) -> list[Program]:
    """The trainer processes at and below a process, for signals that would be sent: parents first.
    Of a tree of more than MOST_LOOKED processes, what the walk reaches first."""
    found = list(_walk(root, tuple(numbers)))
    has_trainer = [False] * len(found)
    chosen: list[Program] = []
    for place in reversed(range(len(found))):
        program, role, parent = found[place]
        is_one = role is _Role.TRAINER or (role is _Role.WAITING and not has_trainer[place])
        if is_one:
            chosen.append(program)
        if parent is not None and (is_one or has_trainer[place]):
            has_trainer[parent] = True
    return chosen[::-1]


class _Role(Enum):
    """What the walk takes a process for. A waiting one is the trainer if there is none below."""

    PASSED = "passed"
    WAITING = "waiting"
    BYSTANDER = "bystander"
    TRAINER = "trainer"


def _role(program: Program, numbers: tuple[int, ...]) -> _Role:
    is_listening = any(program.listens_to(number) for number in numbers)
    if program.is_launcher or (program.name in SHELLS and not is_listening):
        return _Role.PASSED
    if program.is_waiting and not is_listening:
        return _Role.WAITING
    return _Role.BYSTANDER if program.name in BYSTANDERS else _Role.TRAINER


def _walk(root: int, numbers: tuple[int, ...]) -> Iterator[tuple[Program, _Role, int | None]]:
    """Down to the trainers, each with its parent's place in the walk. Programs choose how deep
    their tree is, so it does not recurse."""
    seen: set[int] = set()
    open_pids: list[tuple[int, int | None]] = [(root, None)]
    place = 0
    while open_pids and place < MOST_LOOKED:
        pid, parent = open_pids.pop()
        program = None if pid in seen else look(pid)
        if program is None:
            continue
        seen.add(pid)
        role = _role(program, numbers)
        yield program, role, parent
        if role in (_Role.PASSED, _Role.WAITING):
            open_pids += [(child, place) for child in reversed(children(pid))]
        place += 1


def look(pid: int) -> Program | None:
    """The process of that pid, or None where there is none that lives."""
    process = processes.look(pid)
    if process is None or process.state in processes.DEAD_STATES:
        return None
    return Program(
        pid=pid,
        start_ticks=process.start_ticks,
        words=_words(pid, process),
        caught=listening.caught(pid),
        is_waiting=_read(PROC / str(pid) / "wchan") == WAITING.encode(),
    )


def children(pid: int) -> list[int]:
    """The children of all threads of a process."""
    if not HAS_CHILDREN:
        return [one.pid for one in processes.everyone().values() if one.parent == pid]
    found: list[int] = []
    try:
        threads = sorted((PROC / str(pid) / "task").iterdir())
    except OSError:
        return found
    for thread in threads:
        try:
            found += [int(word) for word in (thread / "children").read_bytes().split()]
        except OSError:
            continue
    return found


def _words(pid: int, process: Process) -> tuple[str, ...]:
    """Its arguments; the name that the kernel knows where it has none."""
    words = (_read(PROC / str(pid) / "cmdline") or b"").split(b"\0")
    found = tuple(word.decode(errors="replace") for word in words if word)
    return found or (process.name,)


def _names(words: tuple[str, ...]) -> tuple[str, str]:
    """Base name and module: of `python -u /usr/bin/torchrun x`, `torchrun` and nothing."""
    name = words[0].rpartition("/")[2].lstrip("-")
    if not name.startswith(INTERPRETERS):
        return name, ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-m":
            return name, next(rest, "")
        if word == "-c":
            return name, ""
        if word in TAKES_A_WORD:
            next(rest, "")
        elif not word.startswith("-"):
            return word.rpartition("/")[2], ""
    return name, ""


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
