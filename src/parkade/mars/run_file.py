"""The file of `parkade mars run`: which nodes and sensors, what it may do, and where it tells.

`format: 1`. Without a file this machine alone is watched, nothing is done, and metrics are served
on loopback.
"""

import socket
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from parkade.mars.paths import GivenPath, journal_faults
from parkade.mars.run_checks import program_from, run_faults
from parkade.sensors.slurm_nodes import COMMAND
from parkade.wire.problems import Fault, faults, invalid
from parkade.wire.scalars import PositiveSpan, parse_span
from parkade.wire.yaml import Unreadable, load

MOST_NODES = 20_000
ONE_FABRIC = "default"
"""Of nodes whose file says nothing of it."""
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
    fabric: str = Field(ONE_FABRIC, description="its fabric; a budget holds in each")
    rack: str | None = Field(
        None, description="its rack, which is suspected where many of its nodes fail"
    )
    switch: str | None = Field(None, description="the same of its switch")
    driver: str | None = Field(None, description="the same of the version of its GPU driver")
    gpus: Annotated[int, Field(ge=1, le=1_024)] | None = Field(
        None, description="how many GPUs it should have; fewer are a symptom"
    )
    kernel_log: GivenPath | None = Field(
        None, description="a file with its kernel's lines, such as `kern.log`"
    )
    host: Hosts | None = Field(
        None,
        description="the name, or a list, under which its lines stand in `kernel_log`;"
        " by default `node`. Short and full names are the same",
    )
    dcgm: str | None = Field(None, description="the address of its DCGM exporter")
    local: bool = Field(default=False, description="it is this machine: read its own sensors")

    @property
    def has_sensor(self) -> bool:
        """Whether anything but the engine speaks of it."""
        return self.local or self.kernel_log is not None or self.dcgm is not None


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


class EngineEntry(_Model):
    """What the cluster's engine says of its nodes."""

    command: Command = Field(
        COMMAND, description="prints `node|state|reason` lines, as `sinfo` does by default"
    )
    timeout: PositiveSpan = Field(parse_span("30s"), description="of the command")


COMMANDS = ("command", "set", "reason", "undo", "count")
Commands = TypeVar("Commands", DrainEntry, EngineEntry)


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
    policy: GivenPath | None = Field(
        None, description="the site's policy; by default the shipped one"
    )
    olddir: GivenPath | None = Field(
        None,
        description="the folder into which logs are rotated, where that is not their own; it counts"
        " from the folder of each log, as logrotate's does",
    )
    resolve_after: PositiveSpan = Field(
        parse_span("1h"), description="a verdict is over when nothing more was seen for so long"
    )
    alertmanager: str | None = Field(None, description="the address of Alertmanager")
    engine: EngineEntry | None = Field(None, description="asks the engine about all nodes")
    act: bool = Field(default=False, description="`true`: drain nodes, by `drain`")
    drain: DrainEntry | None = Field(None, description="the commands that drain and undo")
    journal: GivenPath | None = Field(
        None,
        description="a file that remembers drains; beside it what stands, and how far logs"
        " were read",
    )

    @property
    def names_fabrics(self) -> bool:
        """Whether a node has a fabric by name; else all are one, for nothing else was said."""
        return any(entry.fabric != ONE_FABRIC for entry in self.nodes)


def read_run_file(text: str, folder: Path = Path()) -> RunFile:
    """The checked file; raises Unreadable with every error and its place. Programs are looked for
    from `folder`."""
    written = load(text)
    try:
        file, found = RunFile.model_validate(written), []
    except ValidationError as error:
        file, found = None, faults(error.errors(), model=RunFile)
    places = {fault.place for fault in found}
    found += [each for each in run_faults(written, folder) if each.place not in places]
    if file is None or found:
        raise Unreadable(invalid(found))
    return file


def rooted(file: RunFile, folder: Path) -> RunFile:
    """The file with its paths counted from its own folder, those of programs too. Raises Unreadable
    where its journal stands in the folder where the program was started, from where paths counted
    before: what it remembers would be lost without a word; or would be written over a file that is
    read."""
    journal = file.journal
    if journal is not None:
        at = folder / journal
        if not at.exists() and journal.exists():
            message = (
                f"paths count from the folder of this file: {at} is not there, and"
                f" {journal.resolve()} is; move it there, with what stands beside it, or write its"
                " whole path"
            )
            raise Unreadable(invalid([Fault(place="journal", message=message)]))
        # A symbolic link is the journal that it leads to, with what stands beside that.
        journal = at.resolve() if at.is_symlink() else at
    nodes = tuple(_rooted_node(entry, folder) for entry in file.nodes)
    policy = None if file.policy is None else folder / file.policy
    if journal is not None:
        read = {f"nodes[{at}].kernel_log": it.kernel_log for at, it in enumerate(nodes)}
        read["policy"] = policy
        found = journal_faults(journal, {at: path for at, path in read.items() if path})
        if wrong := tuple(found):
            raise Unreadable(invalid(wrong))
    return file.model_copy(
        update={
            "journal": journal,
            "policy": policy,
            "nodes": nodes,
            "drain": None if file.drain is None else _rooted_commands(file.drain, folder),
            "engine": None if file.engine is None else _rooted_commands(file.engine, folder),
        }
    )


def _rooted_node(entry: NodeEntry, folder: Path) -> NodeEntry:
    if entry.kernel_log is None:
        return entry
    return entry.model_copy(update={"kernel_log": folder / entry.kernel_log})


def _rooted_commands(entry: Commands, folder: Path) -> Commands:
    """A program that is named with a `/` counts from the folder, as a path does."""
    found: dict[str, tuple[str, ...]] = {}
    for name in COMMANDS:
        words: tuple[str, ...] = getattr(entry, name, None) or ()
        if words:
            found[name] = (program_from(words[0], folder), *words[1:])
    return entry.model_copy(update=found)


def default_run_file() -> RunFile:
    """This machine alone, observed only."""
    node = NodeEntry(node=socket.gethostname(), local=True)
    return RunFile(format=1, nodes=(node,))
