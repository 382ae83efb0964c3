"""The engines that an agent can run, by name, each with its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from parkade.engines.local.engine import LocalEngine
from parkade.ports import Clock, Engine, NodeShape
from parkade.service.settings import BadSettings


class EnginePlace(msgspec.Struct, frozen=True, kw_only=True):
    """What every engine is made with: its pool and nodes, a folder of its own, the present."""

    pool: str
    nodes: tuple[NodeShape, ...]
    folder: Path
    clock: Clock


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine of processes on this machine has no settings."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of engine: `settings` is a struct whose fields an operator may give as text."""

    settings: type[msgspec.Struct]
    make: Callable[[Any, EnginePlace], Engine]


MakeEngine = Callable[[EnginePlace], Engine]


def _local(_settings: LocalSettings, place: EnginePlace) -> Engine:
    return LocalEngine(pool=place.pool, data=place.folder, nodes=place.nodes, clock=place.clock)


ENGINES = {"local": Entry(settings=LocalSettings, make=_local)}


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
