"""A node in a network namespace of its own, at the other end of one cable that can be cut.

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
    """`near` and `far` are its ends' addresses; the far one is in the namespace `name`."""

    def __init__(self, name: str) -> None:
        self.name = name
        net = f"10.{128 + secrets.randbelow(100)}.{secrets.randbelow(250)}"
        self.near, self.far = f"{net}.1", f"{net}.2"

    @property
    def enter(self) -> tuple[str, ...]:
        """Words before a program that runs at the far end."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

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
            return own == Path(f"/run/netns/{self.name}").stat().st_ino
        return False


@contextmanager
def cable(name: str) -> Iterator[Cable]:
    """Laid, and taken away at the end with its namespace."""
    made = Cable(name)
    _ip("netns", "add", name)
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", f"{made.near}/24", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "addr", "add", f"{made.far}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        for words in (("link", "del", name), ("netns", "del", name)):
            with suppress(subprocess.CalledProcessError):
                _ip(*words)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, env={"PATH": PATH})
