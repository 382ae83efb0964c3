"""Where an agent stands, where its time comes from, and how often it looks."""

from pathlib import Path

import msgspec

from parkade.agent import memory as memories
from parkade.ports import Clock, NodeShape, Timer


class Time(msgspec.Struct, frozen=True, kw_only=True):
    """Where the present comes from, and how it passes."""

    clock: Clock
    timer: Timer


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The pool, the nodes that its engine was made with, and the folder of the agent's memory.
    `memory`: where else it is kept; None: in the folder."""

    pool: str
    nodes: tuple[NodeShape, ...]
    data_folder: Path
    memory: memories.MemoryPlace | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: between two looks where nothing happens, and between two reports at most."""

    tick_s: float = 0.5
    heartbeat_s: float = 2.0
