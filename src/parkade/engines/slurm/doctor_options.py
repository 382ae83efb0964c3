"""Checks an agent's options against the cluster: each as the agent will use it.

A job is tried by `sbatch --test-only` with the account, partition and so on of the options, and
through the launcher with the environment that root gave it, where there is one.
"""

import os
import shutil
import sys
from pathlib import Path

import msgspec

from parkade.core.units.phrases import counted
from parkade.engines.local import containers
from parkade.engines.slurm import naming, owners, standing_in, standing_reservation
from parkade.engines.slurm.admitting import members
from parkade.engines.slurm.commands import PATH, SUDO, Commands, NotAdmitted, Runner
from parkade.engines.slurm.fencing import PREFIX
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import EngineError, InvalidSpec, Unreachable

INSTALL = "parkade pool launcher"
NO_NODE = "requested node configuration is not available"
SENT_WITH = ("partition", "account", "qos", "reservation")


class Bad(Exception):
    """A check failed; the message says what to do."""


def names(settings: SlurmSettings, commands: Commands) -> str:
    """`owners`, `stands_in`, and the names of accounts, partitions, QOS and users in all."""
    try:
        rules = owners.parse_rules(settings.owners)
        standing_in.parse(settings.stands_in)
    except ValueError as error:
        raise Bad(str(error)) from None
    found = naming.unknown(settings, commands)
    if found:
        raise Bad("; ".join(found))
    return (
        f"owners: {counted(len(rules), 'rule')}"
        if rules
        else "no owners: no job of others is a claim"
    )


def container(settings: SlurmSettings, commands: Commands, *, on_nodes: bool) -> str:
    """The template, and whether its program is here; `on_nodes`: it is looked for there instead."""
    try:
        words = containers.parse(settings.container)
    except ValueError as error:
        raise Bad(str(error)) from None
    if not words:
        return "none: workloads with an image are refused; see the option container"
    if containers.is_srun(words):
        listed = commands.run(words[0], "--help").decode(errors="replace")
        lacking = [
            one for one in (word.partition("=")[0] for word in words[1:]) if one not in listed
        ]
        if lacking:
            raise Bad(f"container: srun does not know {lacking[0]}: install its plugin (pyxis)")
        return "srun knows its options"
    if on_nodes:
        return f"{words[0]} is looked for on the nodes of the gang"
    if shutil.which(words[0], path=commands.environment["PATH"]) is None:
        return f"{words[0]} is not here; whether the nodes have it is looked for by `--gang 2`"
    return f"{words[0]} is here; `--gang 2` looks on nodes"


def container_program(settings: SlurmSettings) -> str | None:
    """What the nodes must have to run images; None where that is srun's part, or is not known."""
    try:
        words = containers.parse(settings.container)
    except ValueError:
        return None
    return None if not words or containers.is_srun(words) else words[0]


def python(settings: SlurmSettings, _: Commands) -> str:
    """The interpreter of the batch script; the gang shows whether the nodes have it."""
    path = settings.python or sys.executable
    if not os.access(path, os.X_OK):
        raise Bad(f"python: {path} is no program here; agent and nodes use the same path")
    return path


def submission(settings: SlurmSettings, commands: Commands) -> str:
    """Whether Slurm would take a job as the agent sends it: outside of fences, and where all nodes
    are behind some, in one of them. Slurm's word on a cluster that is full is no fault."""
    user = _member(settings)
    try:
        _test(settings, commands, user)
    except (InvalidSpec, NotAdmitted, Unreachable) as error:
        if NO_NODE not in str(error).lower():
            raise Bad(_advice(settings, commands, str(error))) from None
        return _behind_fences(settings, commands, str(error))
    except EngineError as error:
        return f"not at once: {error}"
    return "a job would be taken" + ("" if user is None else f" of {user}, by the launcher")


def refusal(settings: SlurmSettings, commands: Runner, user: str | None) -> str | None:
    """Why Slurm would refuse a job of that user for good, or until an administrator let it in;
    `user` None: of our own. Where no node is free for it, that is no refusal."""
    try:
        _test(settings, commands, user)
    except (InvalidSpec, NotAdmitted) as error:
        return None if NO_NODE in str(error).lower() else str(error)
    except EngineError:
        return None
    return None


def _test(settings: SlurmSettings, commands: Runner, user: str | None) -> None:
    words: tuple[str, ...] = ("sbatch", "--test-only")
    if user is not None:
        assert settings.launcher is not None
        words = (SUDO, "-n", settings.launcher, "test", user)
    commands.run(*words, stdin=_job(settings))


def _job(settings: SlurmSettings) -> str:
    options = [f"#SBATCH --{key}={value}" for key in SENT_WITH if (value := getattr(settings, key))]
    return "\n".join(["#!/bin/sh", "#SBATCH --time=1", *options, "true", ""])


def _behind_fences(settings: SlurmSettings, commands: Commands, why: str) -> str:
    """A fence that stands keeps its nodes from what is outside of it. It is for guests that run now
    and for the agent, so the latter's job is tried in it."""
    text = commands.run("scontrol", "show", "reservation", "--oneliner").decode(errors="replace")
    lines = [line for line in text.splitlines() if line.startswith("ReservationName=")]
    standing = map(standing_reservation.parse, lines)
    found = [one.name for one in standing if one.name.startswith(PREFIX) and ":" not in one.name]
    if settings.reservation is not None or not found:
        raise Bad(_advice(settings, commands, why))
    for name in found:
        within = msgspec.structs.replace(settings, reservation=name)
        try:
            commands.run("sbatch", "--test-only", stdin=_job(within))
        except EngineError as error:
            why = str(error)
        else:
            return f"a job would be taken behind the fence {name}"
    raise Bad(f"behind the fence {found[-1]} sbatch refuses it: correct the options ({why})")


def _member(settings: SlurmSettings) -> str | None:
    """Of whom a job is tried: the first of the launcher's group; None: our own."""
    if settings.launcher is None or os.geteuid() == 0:
        return None
    group = read_conf(Path(settings.launcher)).get("group", "")
    users = members(group)
    if not users:
        raise Bad(f"nobody is in the group {group!r}: usermod -aG {group} USER, for each user")
    return users[0]


def read_conf(launcher: Path) -> dict[str, str]:
    """The launcher's own settings. Bad where they cannot be read."""
    path = launcher.parent / "launcher.conf"
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise Bad(f"{path}: {error.strerror}; see `{INSTALL}`") from None
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def _advice(settings: SlurmSettings, commands: Commands, why: str) -> str:
    """The launcher has an environment of its own: what it lacks of ours is the likely reason."""
    if settings.launcher is None or os.geteuid() == 0:
        return f"sbatch refuses it: correct the options ({why})"
    if "verbs and their words" in why:
        return f"the launcher is of an older Parkade: install it again by `{INSTALL}`"
    given, options = read_conf(Path(settings.launcher)), ""
    conf = commands.environment.get("SLURM_CONF")
    if conf and given.get("slurm_conf") != conf:
        options += f" --conf {conf}"
    found = shutil.which("sbatch", path=commands.environment["PATH"])
    path = given.get("path", PATH)
    if found and shutil.which("sbatch", path=path) != found:
        options += f" --path {Path(found).parent}"
    if options:
        return f"the launcher has another environment: install it again by `{INSTALL}{options}`"
    return f"the launcher's sbatch refuses it ({why})"
