"""What the agent must not forget when it restarts: the newest state accepted, and its refusals.

Without the first it could obey a control plane that was replaced; without the second it could start
an attempt that it had already reported as never started.
"""

import os
from pathlib import Path

import msgspec

FILE = "agent.json"


class Memory(msgspec.Struct, kw_only=True):
    """`refused` maps attempts to why they were not started; `ordered` were told to leave by us."""

    last: tuple[int, int] | None = None
    refused: dict[str, str] = {}
    ordered: set[str] = set()

    def is_stale(self, epoch: int, sequence: int) -> bool:
        """Whether a newer state was accepted before."""
        return self.last is not None and (epoch, sequence) < self.last

    def keep_only(self, attempts: set[str]) -> None:
        """Forgets what concerns none of these."""
        self.refused = {name: why for name, why in self.refused.items() if name in attempts}
        self.ordered &= attempts


def load(folder: Path) -> Memory:
    """What was saved, or nothing where the folder is new. The file is only ever replaced whole."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        content = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return Memory()
    return msgspec.json.decode(content, type=Memory)


def save(folder: Path, memory: Memory) -> None:
    """On disk before it returns; a memory is saved before it is acted on."""
    beside = folder / f".{FILE}.{os.getpid()}"
    with beside.open("wb") as file:
        file.write(msgspec.json.encode(memory))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / FILE)
