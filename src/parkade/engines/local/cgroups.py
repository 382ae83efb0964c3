"""Control groups (version 2) where the agent may make them: membership, limits, and the kill.

Each attempt has a group of its own that its ranks join before they take their user's rights. Then
nothing that they start can leave it, whatever session, parent or environment it moves to, and one
write ends it whole. Where no group can be made the path is empty, and processes are found in /proc
as before.

Groups are made where the agent was delegated to make them: beside its own group, where that one's
parent has no processes of its own (systemd's `DelegateSubgroup=`), else below its own
(`Delegate=yes`, or a container). Limits need a controller there; each is set where it can be.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from parkade.engines.local.processes import PROC

PREFIX = "parkade-"
MOST_PROCESSES = 32_768
CPU_WEIGHT = 100
MOST_CPU_WEIGHT = 10_000


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """Where groups are made, and which controllers limit them there."""

    path: Path
    controllers: frozenset[str]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt has of the machine: `part` of `whole` GPUs or slots."""

    part: int
    whole: int


def find_parent() -> Parent | None:
    """Where this process may make groups; None where it may not. Makes one to try."""
    own = _own_group()
    if own is None:
        return None
    beside = [own.parent] if (own.parent / "cgroup.procs").exists() else []
    for path in (*beside, own):
        if path in beside and _words(path / "cgroup.procs"):
            continue
        if _can_make(path):
            return Parent(path=path, controllers=_enable(path))
    return None


def path_of(parent: Parent | None, data: Path, name: str) -> str:
    """The group of an attempt; of another data folder on this machine it has another name."""
    if parent is None:
        return ""
    key = hashlib.sha256(os.fsencode(data) + b"\0" + name.encode()).hexdigest()[:24]
    return str(parent.path / f"{PREFIX}{key}")


def make(path: str, parent: Parent | None, share: Share) -> None:
    """Makes the group with its limits. One that cannot be made is done without."""
    if not path or parent is None:
        return
    with contextlib.suppress(OSError):
        Path(path).mkdir(exist_ok=True)
        for file, value in limits(parent.controllers, share, _memory_bytes()).items():
            with contextlib.suppress(OSError):
                (Path(path) / file).write_text(value)


def limits(controllers: frozenset[str], share: Share, memory_bytes: int) -> dict[str, str]:
    """Its GPUs' share of the memory; of the processors when others want them as well; and a bound
    of its processes."""
    assert 0 <= share.part <= share.whole
    found = {}
    if "memory" in controllers and share.part:
        found["memory.max"] = str(memory_bytes * share.part // share.whole)
        found["memory.swap.max"] = "0"
    if "cpu" in controllers:
        found["cpu.weight"] = str(min(MOST_CPU_WEIGHT, max(1, CPU_WEIGHT * share.part)))
    if "pids" in controllers:
        found["pids.max"] = str(MOST_PROCESSES)
    return found


def join(path: str) -> None:
    """Moves this process into the group, if there is one."""
    if path:
        with contextlib.suppress(OSError):
            (Path(path) / "cgroup.procs").write_text("0")


def members(path: str) -> list[int]:
    """The pids of what lives in the group and in groups below it."""
    found: list[int] = []
    if path:
        for folder, _, _ in os.walk(path):
            found += [int(word) for word in _words(Path(folder) / "cgroup.procs")]
    return found


def kill(path: str) -> None:
    """KILL to everything in the group at once, also to what is being forked."""
    if path:
        with contextlib.suppress(OSError):
            (Path(path) / "cgroup.kill").write_text("1")


def remove(path: str) -> None:
    """Removes the group once it is empty, with those below it."""
    if path:
        for folder, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _own_group() -> Path | None:
    root = _mount()
    for line in _lines(PROC / "self" / "cgroup"):
        if root is not None and line.startswith("0::"):
            return root / line[3:].lstrip("/")
    return None


def _mount() -> Path | None:
    for line in _lines(PROC / "self" / "mountinfo"):
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 "):
            return Path(fields.split()[4])
    return None


def _can_make(path: Path) -> bool:
    trial = path / f"{PREFIX}trial-{os.getpid()}"
    try:
        trial.mkdir()
    except OSError:
        return False
    has_kill = (trial / "cgroup.kill").exists()
    with contextlib.suppress(OSError):
        trial.rmdir()
    return has_kill


def _enable(path: Path) -> frozenset[str]:
    """Hands on what controllers there are; those that limit groups below the path."""
    for name in _words(path / "cgroup.controllers"):
        with contextlib.suppress(OSError):
            (path / "cgroup.subtree_control").write_text(f"+{name}")
    return frozenset(_words(path / "cgroup.subtree_control"))


def _memory_bytes() -> int:
    for line in _lines(PROC / "meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
