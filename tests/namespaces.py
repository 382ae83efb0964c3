"""A network namespace of a test's own, at the other end of cables that can be cut.

`ip netns exec` mounts another /sys, without which slurmd does not start; `nsenter` does not.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("ip", "nsenter")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def lacking() -> list[str]:
    """What keeps this machine from having one."""
    found = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if not found and os.geteuid() == 0:
        name = f"pkt{secrets.token_hex(3)}"
        done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        found = [] if done.returncode == 0 else ["the right to make a network namespace"]
    return found


class Cable:
    """`near` and `far` are its ends' addresses; the far one is in the namespace `space`."""

    def __init__(self, name: str, space: str) -> None:
        self.name, self.space = name, space
        net = f"10.{128 + secrets.randbelow(100)}.{secrets.randbelow(250)}"
        self.near, self.far = f"{net}.1", f"{net}.2"

    @property
    def enter(self) -> tuple[str, ...]:
        """Words before a program that runs at the far end."""
        return ("nsenter", f"--net=/run/netns/{self.space}")

    def cut(self) -> None:
        """Nothing passes any more; nobody is told."""
        _ip("link", "set", self.name, "down")

    def mend(self) -> None:
        """As before."""
        _ip("link", "set", self.name, "up")

    def has(self, pid: int) -> bool:
        """Whether a process is at the far end."""
        with suppress(OSError):
            own = Path(f"/proc/{pid}/ns/net").stat().st_ino
            return own == Path(f"/run/netns/{self.space}").stat().st_ino
        return False


@contextmanager
def cable(name: str) -> Iterator[Cable]:
    """Laid to a new namespace of that name, and taken away at the end with it."""
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        with another_cable(name, name) as made:
            yield made
    finally:
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "del", name)


@contextmanager
def another_cable(name: str, space: str) -> Iterator[Cable]:
    """Laid to a namespace that there is, and taken away at the end."""
    made = Cable(name, space)
    far = f"{name}-far"
    _ip("link", "add", name, "type", "veth", "peer", "name", far, "netns", space)
    try:
        _ip("addr", "add", f"{made.near}/24", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", space, "addr", "add", f"{made.far}/24", "dev", far)
        _ip("-n", space, "link", "set", far, "up")
        yield made
    finally:
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, env={"PATH": PATH})
