"""The file of `parkade mars run`: which nodes and sensors, what it may do, and where it tells.

`format: 1`. Without a file this machine alone is watched, nothing is done, and metrics are served
on loopback.
"""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from parkade.sensors.slurm_nodes import COMMAND
from parkade.wire.scalars import PositiveSpan, parse_span
from parkade.wire.yaml import parse

MOST_NODES = 20_000
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")]
Command = Annotated[tuple[Annotated[str, Field(max_length=1_000)], ...], Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeEntry(_Model):
    """A node and how it is read. `local` reads this machine's own sensors."""

    node: NodeName
    fabric: str = "default"
    rack: str | None = None
    switch: str | None = None
    driver: str | None = None
    gpus: Annotated[int, Field(ge=1, le=1_024)] | None = None
    kernel_log: Path | None = None
    dcgm: str | None = None
    local: bool = False


NEEDED = (("set", "{node}"), ("set", "{reason}"), ("reason", "{node}"), ("undo", "{node}"))
"""What the words of a drain's commands must hold; without it another node, or none that Mars would
know again, is drained."""


class DrainEntry(_Model):
    """Commands, as lists of words; `{node}` and `{reason}` are replaced in each word.

    `set` drains. `reason` prints why the node is drained now, an empty line or `none` if it is not,
    on one line or the same on several; `undo` lifts a drain of ours. `count` prints how many nodes
    are drained in the whole cluster; from `most` on nothing more is drained.
    """

    set: Command
    reason: Command
    undo: Command
    count: Command | None = None
    most: Annotated[int, Field(ge=1, le=100_000)] | None = None
    timeout: PositiveSpan = parse_span("30s")

    @model_validator(mode="after")
    def _counted(self) -> "DrainEntry":
        if (self.count is None) != (self.most is None):
            raise ValueError("`count` and `most` belong together")
        for name, mark in NEEDED:
            if not any(mark in word for word in getattr(self, name)):
                raise ValueError(f"`{name}` needs {mark} in one of its words")
        return self


class EngineEntry(_Model):
    """What the cluster's engine says of its nodes; `command` prints `node|state|reason` lines, as
    Slurm's `sinfo` does by default here."""

    command: Command = COMMAND
    timeout: PositiveSpan = parse_span("30s")


class RunFile(_Model):
    """The whole file."""

    format: Literal[1]
    every: PositiveSpan = parse_span("15s")
    listen: Annotated[str, Field(pattern=r"^[0-9a-zA-Z.:_-]+:[0-9]{1,5}$")] = "127.0.0.1:9464"
    policy: Path | None = None
    act: bool = False
    nodes: Annotated[tuple[NodeEntry, ...], Field(min_length=1, max_length=MOST_NODES)]
    resolve_after: PositiveSpan = parse_span("1h")
    alertmanager: str | None = None
    engine: EngineEntry | None = None
    drain: DrainEntry | None = None
    journal: Path | None = None

    @model_validator(mode="after")
    def _fits(self) -> "RunFile":
        names = [entry.node for entry in self.nodes]
        if len(names) != len(set(names)):
            raise ValueError("a node stands twice in `nodes`")
        if sum(entry.local for entry in self.nodes) > 1:
            raise ValueError("only one node of `nodes` can be this machine")
        if self.act and (self.drain is None or self.journal is None):
            raise ValueError("`act: true` needs `drain` and `journal`")
        return self


def read_run_file(text: str) -> RunFile:
    """The checked file; raises Unreadable with every error and its place."""
    return parse(text, RunFile)


def default_run_file() -> RunFile:
    """This machine alone, observed only."""
    node = NodeEntry(node=socket.gethostname(), local=True)
    return RunFile(format=1, nodes=(node,))
