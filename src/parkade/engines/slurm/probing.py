"""Asks a cluster once what the engine can do on it."""

import os

import msgspec

from parkade.engines.slurm.commands import Runner
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import Capabilities, EngineError


def capabilities(
    settings: SlurmSettings, commands: Runner, *, has_launcher: bool
) -> tuple[Capabilities, bool]:
    """What can be done, and whether Slurm has said all of it."""
    found = Capabilities(
        engine="slurm",
        version="not known yet",
        isolates_users=not settings.root_workloads,
        has_containers=bool(settings.container),
        keeps_memory_limits=False,
        needs_unix_names=has_launcher or (os.geteuid() == 0 and not settings.root_workloads),
        unsupported_keys=() if settings.container else ("image",),
    )
    try:
        version = commands.run("sinfo", "--version").decode(errors="replace").strip()
        text = commands.run("scontrol", "show", "config").decode(errors="replace")
    except EngineError:
        return found, False
    probed = msgspec.structs.replace(
        found,
        version=version[:100],
        tracks_by_cgroup="proctrack/cgroup" in text,
        keeps_memory_limits="task/cgroup" in text,
    )
    return probed, True
