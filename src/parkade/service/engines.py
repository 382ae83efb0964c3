"""The engines that an agent can run, by name, each with its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from parkade.engines.local.devices import Machine, parse
from parkade.engines.local.engine import LocalEngine
from parkade.engines.slurm.engine import SlurmEngine
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import Clock, Engine, NodeShape
from parkade.service.folders import make_passage
from parkade.service.settings import BadSettings


class EnginePlace(msgspec.Struct, frozen=True, kw_only=True):
    """What every engine is made with: its pool and nodes, a folder of its own, the present."""

    pool: str
    nodes: tuple[NodeShape, ...]
    folder: Path
    clock: Clock


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine of processes on this machine. `devices`: the GPU indexes that are this pool's, as
    in `0-3,6`; None for whatever other pools leave. `root_workloads`: where the agent is root, run
    workloads of users without a Unix name as root; else they are refused. `container`: the command
    by which a rank runs in an image, as in `apptainer exec --nv {image}`; empty: none."""

    devices: str | None = None
    root_workloads: bool = False
    container: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of engine: `settings` is a struct whose fields an operator may give as text."""

    settings: type[msgspec.Struct]
    make: Callable[[Any, EnginePlace], Engine]


MakeEngine = Callable[[EnginePlace], Engine]


def _local(settings: LocalSettings, place: EnginePlace) -> Engine:
    named = None
    if settings.devices is not None:
        try:
            named = parse(settings.devices)
        except ValueError as error:
            raise BadSettings(f"engine local: devices: {error}; write 0-3,6") from None
    try:
        return LocalEngine(
            pool=place.pool,
            data=place.folder,
            nodes=place.nodes,
            clock=place.clock,
            machine=Machine(named=named),
            runs_as_root=settings.root_workloads,
            container=settings.container,
        )
    except ValueError as error:
        raise BadSettings(f"engine local: {error}") from None


def _slurm(settings: SlurmSettings, place: EnginePlace) -> Engine:
    if settings.launcher is not None:
        make_passage(place.folder.parent, has_other_users=True)
    try:
        return SlurmEngine(
            pool=place.pool,
            data=place.folder,
            nodes=place.nodes,
            clock=place.clock,
            settings=settings,
        )
    except ValueError as error:
        raise BadSettings(f"engine slurm: {error}") from None


ENGINES = {
    "local": Entry(settings=LocalSettings, make=_local),
    "slurm": Entry(settings=SlurmSettings, make=_slurm),
}


def engine_maker(name: str, options: Mapping[str, str]) -> MakeEngine:
    """How to make the engine of this name. BadSettings for an unknown name or option."""
    entry = ENGINES.get(name)
    if entry is None:
        raise BadSettings(f"there is no engine {name!r}; choose one of: {', '.join(ENGINES)}")
    try:
        settings = msgspec.convert(dict(options), entry.settings, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(entry.settings.__struct_fields__) or "none"
        raise BadSettings(f"engine {name}: {error}; its options: {known}") from None
    return lambda place: entry.make(settings, place)


def read_options(pairs: list[str]) -> dict[str, str]:
    """Options of an engine from `key=value`. BadSettings where one is neither."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise BadSettings(f"engine option {pair!r}: write KEY=VALUE")
        found[key] = value
    return found
