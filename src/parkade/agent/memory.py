"""What the agent must not forget when it restarts: the newest state accepted, and its refusals.

A control plane is known by its installation, drawn at its first start, and by the lineage that each
of its epochs draws: a copy of its data folder has the same installation and sooner or later opens
an epoch of the same number, with another lineage.

Without the first it could obey a control plane that was replaced; without the second it could start
an attempt that it had already reported as never started.
"""

import secrets
from pathlib import Path
from typing import Protocol

import msgspec

from parkade.ports import DesiredState, Obeyed
from parkade.whole_files import replace_whole

FILE = "agent.json"


class Memory(msgspec.Struct, kw_only=True):
    """`last` is the (epoch, sequence) of the newest state accepted, `lineage` that epoch's.
    `agent`: a random name of this folder's agent. `obeyed`: the entry of the journal that it came
    from, shown to every control plane from then on.
    `refused` maps attempts to why they were not started, of these `blameless` are refused by no
    doing of their org; `ordered` were told to leave by us."""

    last: tuple[int, int] | None = None
    installation: str | None = None
    lineage: str | None = None
    obeyed: Obeyed | None = None
    agent: str | None = None
    refused: dict[str, str] = {}
    blameless: set[str] = set()
    ordered: set[str] = set()

    def why_refused(self, state: DesiredState) -> str | None:
        """Why a state is never obeyed; None for one that is, also again."""
        if self.last is None:
            return None
        named = f"desired state {state.epoch}.{state.sequence} after {self.last[0]}.{self.last[1]}"
        if _are_other(self.installation, state.installation):
            return (
                f"{named}: it is of another marketplace than this agent has obeyed; an agent of a"
                " new marketplace starts with an empty data folder"
            )
        if (state.epoch, state.sequence) < self.last:
            return f"{named}: an older control plane is still running; stop it"
        if state.epoch == self.last[0] and _are_other(self.lineage, state.lineage):
            return f"{named}: two control planes opened this epoch; one runs on a copy, stop it"
        return None

    def accept(self, state: DesiredState) -> None:
        """The newest state from now on."""
        assert self.why_refused(state) is None
        self.last = (state.epoch, state.sequence)
        self.installation = state.installation or self.installation
        self.lineage = state.lineage
        if state.position is not None and state.digest is not None:
            self.obeyed = Obeyed(epoch=state.epoch, position=state.position, digest=state.digest)

    def keep_only(self, attempts: set[str]) -> None:
        """Forgets what concerns none of these."""
        self.refused = {name: why for name, why in self.refused.items() if name in attempts}
        self.blameless &= attempts
        self.ordered &= attempts


def _are_other(known: str | None, told: str | None) -> bool:
    """Whether two names differ; one that was not told, as by an older version, tells nothing."""
    return known is not None and told is not None and known != told


class MemoryPlace(Protocol):
    """Where an agent's memory is kept over its restarts."""

    def named(self) -> Memory:
        """What was saved, by an agent that has a name from then on."""
        ...

    def save(self, memory: Memory) -> None:
        """On disk before it returns; OSError where it cannot be."""
        ...


class MemoryFolder:
    """Implements `MemoryPlace` by a file of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def named(self) -> Memory:
        """See `MemoryPlace`."""
        return named(self._folder)

    def save(self, memory: Memory) -> None:
        """See `MemoryPlace`."""
        save(self._folder, memory)


def load(folder: Path) -> Memory:
    """What was saved, or nothing where the folder is new. The file is only ever replaced whole."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        content = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return Memory()
    return msgspec.json.decode(content, type=Memory)


def named(folder: Path) -> Memory:
    """What was saved, by an agent that has a name from then on."""
    memory = load(folder)
    if memory.agent is None:
        memory.agent = secrets.token_hex(8)
        save(folder, memory)
    return memory


def save(folder: Path, memory: Memory) -> None:
    """On disk before it returns; a memory is saved before it is acted on."""
    replace_whole(folder / FILE, msgspec.json.encode(memory))
