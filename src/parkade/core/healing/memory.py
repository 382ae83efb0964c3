"""What the judge remembers of one node: bounded, frozen, replaced by each symptom.

A *track* is one signal on one device. It has at most one open coalescing window and the last
bursts. At most 64 tracks with 32 bursts each are kept: a track without an open window that was
quiet for longest makes room. Each track keeps two lines. A node takes about 1 KiB for each active
track with lines of 120 characters, 500 KiB at the very most, and nothing grows with time.
"""

import msgspec

from parkade.core.healing.ladder import Repair
from parkade.core.healing.symptom import Evidence, RecoveryAction, Source
from parkade.core.healing.verdict import Action, Level

MOST_TRACKS = 64
MOST_BURSTS = 32
MOST_NAMES = 8
MOST_REPAIRS = 16
MOST_RECOVERIES = 32


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How bad, what to do, and why; not yet a verdict."""

    level: Level
    action: Action
    reasons: tuple[str, ...]


class Burst(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Symptoms that follow each other closely; jobs and places are the first few distinct ones."""

    start_us: int
    last_us: int
    count: int
    jobs: tuple[str, ...]
    places: tuple[str, ...]


class Announced(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last verdict of the present burst."""

    verdict: str
    level: Level
    action: Action


class Track(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One signal on one device. `closes_us` is when the open window closes, None if none is open;
    `finding` is the worst that a symptom of the burst meant by itself, by the policy's `row`."""

    device: str | None
    signal: str
    closes_us: int | None
    finding: Finding
    row: str
    announced: Announced | None
    bursts: tuple[Burst, ...]
    sources: tuple[Source, ...]
    evidence: tuple[Evidence, ...]

    @property
    def burst(self) -> Burst:
        """The present or last burst; a track has at least one."""
        return self.bursts[-1]


class Recovery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the driver last asked for on a device."""

    device: str | None
    action: RecoveryAction
    at_us: int


class NodeMemory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All of a node. `forgotten` counts tracks that made room for others."""

    node: str
    tracks: tuple[Track, ...]
    recoveries: tuple[Recovery, ...]
    repairs: tuple[Repair, ...]
    forgotten: int


def empty_memory(node: str) -> NodeMemory:
    """Nothing was seen yet."""
    return NodeMemory(node=node, tracks=(), recoveries=(), repairs=(), forgotten=0)


def find_track(memory: NodeMemory, device: str | None, signal: str) -> Track | None:
    """The track of a signal on a device."""
    for track in memory.tracks:
        if track.signal == signal and track.device == device:
            return track
    return None


def put_track(memory: NodeMemory, track: Track) -> NodeMemory:
    """The memory with this track in place of the one before, at the end: the last is the newest."""
    others = tuple(
        each
        for each in memory.tracks
        if not (each.signal == track.signal and each.device == track.device)
    )
    forgotten = memory.forgotten
    if len(others) >= MOST_TRACKS:
        at = next((at for at, each in enumerate(others) if each.closes_us is None), 0)
        others = (*others[:at], *others[at + 1 :])
        forgotten += 1
    return msgspec.structs.replace(memory, tracks=(*others, track), forgotten=forgotten)


def put_recovery(memory: NodeMemory, recovery: Recovery) -> NodeMemory:
    """The memory with what the driver asks for now; NONE takes it back."""
    others = tuple(each for each in memory.recoveries if each.device != recovery.device)
    if recovery.action is RecoveryAction.NONE:
        return msgspec.structs.replace(memory, recoveries=others)
    kept = (*others, recovery)[-MOST_RECOVERIES:]
    return msgspec.structs.replace(memory, recoveries=kept)


def with_name(names: tuple[str, ...], name: str | None) -> tuple[str, ...]:
    """The first few distinct names."""
    if name is None or name in names or len(names) >= MOST_NAMES:
        return names
    return (*names, name)
