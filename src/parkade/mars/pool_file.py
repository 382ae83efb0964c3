"""A pool's `mars.yaml`, beside its agent: which sensors it reads, and what it may do with a node.

    format: 1
    every: 5s
    policy: site-policy.yaml          # optional, beside this file
    nodes:
      gpu-001: {kernel_log: /var/log/gpu-001.log, dcgm: "http://gpu-001:9400/metrics"}
      gpu-002: {local: true, rack: r7, switch: leaf-3, driver: 570.86.10}
    olddir: old                       # optional: into which logs are rotated, from their own folder
    engine: {}                        # optional: what Slurm says of its nodes
    steps: /shared/steps.jsonl        # optional: step times that programs tell
    burn_in: 5m                       # how long the shipped `validate` loads a repeater
    repairs:
      reset: {run: [ssh, "{node}", nvidia-smi, --gpu-reset], timeout: 2m}
      reboot: simulated
      validate: shipped
      sanitise: shipped

The commands stand in this file and nowhere else: the server says *that* a node is reset, never by
which command. So the file must be its owner's alone to write. Without a file nothing is watched and
nothing is done.
"""

import logging
import os
import stat
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from parkade.core.healing.incident import RepairKind
from parkade.core.healing.policy import Policy
from parkade.core.healing.topology import Surroundings
from parkade.core.units.time import SECOND_US
from parkade.mars.paths import GivenPath
from parkade.mars.policy_file import load_policy, shipped_policy
from parkade.mars.run_file import Command as Words
from parkade.mars.run_file import EngineEntry, Hosts, NodeName
from parkade.mars.sensing import engine_sensor, must_rest, node_sensors, sharers
from parkade.ports import Clock, Sensor
from parkade.repairs import commands
from parkade.repairs.commands import CommandRepairs
from parkade.sensors.clock import ReadClock
from parkade.sensors.gpu.driver import driver_version
from parkade.sensors.step_times import CheckpointSteps, StepTimes
from parkade.wire.scalars import PositiveSpan, Span, parse_span
from parkade.wire.yaml import Unreadable, parse

NAME = "mars.yaml"
SIMULATED_S = 1.0
CHECK_S = 600.0
"""Within which a shipped check ends, beside the time of its load."""
OWN_FILES = 256
"""That an agent opens beside logs."""
NVML_EVERY_US = 20 * SECOND_US
SHIPPED = (RepairKind.VALIDATE, RepairKind.SANITISE)

logger = logging.getLogger("parkade.agent.health")

Shared = Annotated[str, Field(min_length=1, max_length=128)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WatchedNode(_Model):
    """How a node is read, and what it shares with others. `local`: by this machine's own sensors,
    and its driver's version by itself. `host`: under which names its lines stand in `kernel_log`,
    by default its own."""

    gpus: Annotated[int, Field(ge=1, le=1_024)] | None = None
    kernel_log: GivenPath | None = None
    host: Hosts | None = None
    dcgm: str | None = None
    local: bool = False
    rack: Shared | None = None
    switch: Shared | None = None
    driver: Shared | None = None


class RepairCommand(_Model):
    """A command as a list of words; `{node}`, `{device}`, `{grade}`, `{order}` are replaced."""

    run: Words
    timeout: PositiveSpan = parse_span("10m")


class PoolFile(_Model):
    """The whole file."""

    format: Literal[1]
    every: PositiveSpan = parse_span("5s")
    policy: GivenPath | None = None
    olddir: GivenPath | None = None
    engine: EngineEntry | None = None
    steps: Literal["checkpoints"] | GivenPath | None = None
    nodes: Annotated[dict[NodeName, WatchedNode], Field(max_length=20_000)] = {}
    burn_in: Annotated[Span, Field(ge=timedelta(0), le=timedelta(days=7))] = parse_span("5m")
    repairs: dict[RepairKind, RepairCommand | Literal["shipped", "simulated"]] = {}

    @model_validator(mode="after")
    def _fits(self) -> "PoolFile":
        for kind, given in self.repairs.items():
            if given == "shipped" and kind not in SHIPPED:
                shipped = ", ".join(SHIPPED)
                raise ValueError(f"repairs.{kind}: shipped are only {shipped}; name a command")
        return self


class BadPoolFile(Exception):
    """The file cannot be used; the message says what to change."""


def read_pool_file(path: Path) -> PoolFile:
    """The checked file. BadPoolFile where others may write it, Unreadable with every fault."""
    _only_ours(path)
    return parse(path.read_text(encoding="utf-8"), PoolFile)


def _only_ours(path: Path) -> None:
    """BadPoolFile where another user than root and this process's may change a file: by writing it,
    as its owner, or by putting another into its folder."""
    for place in (path, path.parent):
        found = place.stat()
        is_shared = place is not path and found.st_mode & stat.S_ISVTX
        if found.st_mode & 0o022 and not is_shared:
            raise BadPoolFile(f"{place}: others may write the commands in it; chmod go-w {place}")
        if found.st_uid not in (0, os.geteuid()):
            raise BadPoolFile(f"{place}: it is another user's, who may write it; chown it")


def policy_of_pool(file: PoolFile, folder: Path) -> Policy:
    """The policy that the file names, beside it; else the shipped one. BadPoolFile where it cannot
    be used, or others may write it."""
    if file.policy is None:
        return shipped_policy()
    path = folder / file.policy
    _only_ours(path)
    try:
        return load_policy(path.read_text(encoding="utf-8"))
    except Unreadable as error:
        raise BadPoolFile(f"policy {path}: {error}") from error


def sensors_of_pool(file: PoolFile, read_clock: ReadClock) -> dict[str, tuple[Sensor, ...]]:
    """The sensors of each node; `read_clock` tells this machine's clock beside the server's."""
    shared = sharers(file.nodes.items())
    why_rests = must_rest(file.nodes.values(), own_files=OWN_FILES)
    if why_rests is not None:
        logger.warning("%s", why_rests)
    return {
        node: node_sensors(
            node,
            entry,
            nvml_every_us=NVML_EVERY_US,
            read_clock=read_clock,
            sharing=shared,
            olddir=file.olddir,
            rests=why_rests is not None,
        )
        for node, entry in file.nodes.items()
    }


def shared_sensors_of_pool(file: PoolFile, *, engine_folder: Path) -> tuple[Sensor, ...]:
    """Those that speak for several nodes; `engine_folder` is where checkpoint reports are found."""
    found: list[Sensor] = []
    if file.engine is not None:
        found.append(engine_sensor(file.engine))
    if file.steps == "checkpoints":
        found.append(CheckpointSteps(engine_folder))
    elif file.steps is not None:
        found.append(StepTimes(Path(file.steps)))
    return tuple(found)


def surroundings_of_pool(file: PoolFile) -> tuple[Surroundings, ...]:
    """What the nodes share, of those of which something is known."""
    found = []
    for node, entry in file.nodes.items():
        driver = entry.driver or (driver_version() if entry.local else None)
        if entry.rack or entry.switch or driver:
            found.append(
                Surroundings(node=node, rack=entry.rack, switch=entry.switch, driver=driver)
            )
    return tuple(found)


def repairs_of_pool(file: PoolFile, *, engine_folder: Path, clock: Clock) -> CommandRepairs:
    """What the agent may do. The shipped checks look at `engine_folder` and at this machine's GPUs,
    of which it should have as many as its `local` node says. Only where one node is local, and so
    is the machine, is it loaded."""
    local = [node for node, entry in file.nodes.items() if entry.local]
    gpus = max((file.nodes[node].gpus or 0 for node in local), default=0)
    more = ["--engine", str(engine_folder), *(("--gpus", str(gpus)) if gpus else ())]
    burn_in_s = file.burn_in.total_seconds() if len(local) == 1 else 0.0
    if burn_in_s:
        more += ["--machine", local[0], "--burn-in", f"{burn_in_s:g}"]
    made = {
        kind: _command(kind, given, tuple(more), CHECK_S + burn_in_s)
        for kind, given in file.repairs.items()
    }
    return CommandRepairs(made, clock)


def _command(
    kind: RepairKind, given: RepairCommand | str, more: tuple[str, ...], timeout_s: float
) -> commands.RepairProgram:
    if isinstance(given, RepairCommand):
        return commands.RepairProgram(words=given.run, timeout_s=given.timeout.total_seconds())
    module = (sys.executable, "-m")
    words: tuple[str, ...]
    if given == "simulated":
        words = (*module, "parkade.repairs.simulated", str(SIMULATED_S))
    else:
        words = (*module, "parkade.repairs.check", kind.value, *more)
    return commands.RepairProgram(words=words, timeout_s=timeout_s)
