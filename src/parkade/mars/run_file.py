"""The file of `parkade mars run`: which nodes and sensors, what it may do, and where it tells.

`format: 1`. Without a file this machine alone is watched, nothing is done, and metrics are served
on loopback.
"""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from parkade.sensors.slurm_nodes import COMMAND
from parkade.wire.scalars import PositiveSpan, parse_span
from parkade.wire.yaml import parse

MOST_NODES = 20_000
MOST_NAMED = 5
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")]
Hosts = Annotated[
    tuple[NodeName, ...],
    Field(min_length=1, max_length=16),
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
]
Command = Annotated[tuple[Annotated[str, Field(max_length=1_000)], ...], Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeEntry(_Model):
    """A node and how it is read."""

    node: NodeName = Field(description="its name, as `drain` and `engine` know it")
    fabric: str = Field("default", description="its fabric; a budget holds in each")
    rack: str | None = Field(
        None, description="its rack, which is suspected where many of its nodes fail"
    )
    switch: str | None = Field(None, description="the same of its switch")
    driver: str | None = Field(None, description="the same of the version of its GPU driver")
    gpus: Annotated[int, Field(ge=1, le=1_024)] | None = Field(
        None, description="how many GPUs it should have; fewer are a symptom"
    )
    kernel_log: Path | None = Field(
        None, description="a file with its kernel's lines, such as `kern.log`"
    )
    host: Hosts | None = Field(
        None,
        description="the name, or a list, under which its lines stand in `kernel_log`;"
        " by default `node`. Short and full names are the same",
    )
    dcgm: str | None = Field(None, description="the address of its DCGM exporter")
    local: bool = Field(default=False, description="it is this machine: read its own sensors")

    @model_validator(mode="after")
    def _named(self) -> "NodeEntry":
        if self.host and self.kernel_log is None:
            raise ValueError("`host` says whose lines of `kernel_log` are taken; name that too")
        return self

    @property
    def has_sensor(self) -> bool:
        """Whether anything but the engine speaks of it."""
        return self.local or self.kernel_log is not None or self.dcgm is not None


NEEDED = (("set", "{node}"), ("set", "{reason}"), ("reason", "{node}"), ("undo", "{node}"))
"""What the words of a drain's commands must hold; without it another node, or none that Mars would
know again, is drained."""


class DrainEntry(_Model):
    """Commands, as lists of words; `{node}` and `{reason}` are replaced in each word."""

    set: Command = Field(description="drains `{node}` with `{reason}`")
    reason: Command = Field(
        description="prints why `{node}` is drained now, an empty line or `none` if it is not;"
        " on one line, or the same on several"
    )
    undo: Command = Field(description="lifts a drain of `{node}`")
    count: Command | None = Field(
        None, description="prints how many nodes are drained in the whole cluster"
    )
    most: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="from so many on nothing more is drained; belongs to `count`"
    )
    timeout: PositiveSpan = Field(parse_span("30s"), description="of each of these commands")

    @model_validator(mode="after")
    def _counted(self) -> "DrainEntry":
        if (self.count is None) != (self.most is None):
            raise ValueError("`count` and `most` belong together")
        for name, mark in NEEDED:
            if not any(mark in word for word in getattr(self, name)):
                raise ValueError(f"`{name}` needs {mark} in one of its words")
        return self


class EngineEntry(_Model):
    """What the cluster's engine says of its nodes."""

    command: Command = Field(
        COMMAND, description="prints `node|state|reason` lines, as `sinfo` does by default"
    )
    timeout: PositiveSpan = Field(parse_span("30s"), description="of the command")


class RunFile(_Model):
    """The whole file."""

    format: Literal[1] = Field(description="1, the form of this file")
    nodes: Annotated[tuple[NodeEntry, ...], Field(max_length=MOST_NODES)] = Field(
        description="a list of the nodes, of one at least"
    )
    every: PositiveSpan = Field(
        parse_span("15s"),
        description="how often sensors are polled; logs are read about each second",
    )
    listen: Annotated[str, Field(pattern=r"^[0-9a-zA-Z.:_-]+:[0-9]{1,5}$")] = Field(
        "127.0.0.1:9464", description="where metrics are served; port 0 is a free one"
    )
    policy: Path | None = Field(None, description="the site's policy; by default the shipped one")
    resolve_after: PositiveSpan = Field(
        parse_span("1h"), description="a verdict is over when nothing more was seen for so long"
    )
    alertmanager: str | None = Field(None, description="the address of Alertmanager")
    engine: EngineEntry | None = Field(None, description="asks the engine about all nodes")
    act: bool = Field(default=False, description="`true`: drain nodes, by `drain`")
    drain: DrainEntry | None = Field(None, description="the commands that drain and undo")
    journal: Path | None = Field(
        None,
        description="a file that remembers drains; beside it what stands, and how far logs"
        " were read",
    )

    @model_validator(mode="after")
    def _fits(self) -> "RunFile":
        if not self.nodes:
            raise ValueError("`nodes` is empty; name a node")
        names = [entry.node for entry in self.nodes]
        if len(names) != len(set(names)):
            raise ValueError("a node stands twice in `nodes`")
        if sum(entry.local for entry in self.nodes) > 1:
            raise ValueError("only one node of `nodes` can be this machine")
        blind = [entry.node for entry in self.nodes if not entry.has_sensor]
        if blind and self.engine is None:
            more = f" and {len(blind) - MOST_NAMED} more" if len(blind) > MOST_NAMED else ""
            raise ValueError(
                f"nothing reads {', '.join(blind[:MOST_NAMED])}{more}: give each node `kernel_log`,"
                " `dcgm` or `local: true`, or the file an `engine`"
            )
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
