"""Writes `run.json` at each start of a run: which network the journal's lines are of (`described`).

The file is replaced whole. A start of another network than before is added to those it knows.
"""

from pathlib import Path
from typing import Any

import msgspec

from parkade.compound.models.local import LOCAL
from parkade.compound.network.binding import Bound, Node
from parkade.compound.network.digest import code_name, name_of
from parkade.compound.network.drawing import label
from parkade.compound.network.operators import Cascade
from parkade.compound.network.sources import source_of
from parkade.compound.run.described import (
    NoSuchRun,
    RunUnreadable,
    Start,
    read_described,
    starts_with,
)


def describe(path: Path, bound: Bound, digest: str, size: int) -> str | None:
    """Write the file; `size` is the journal's, in bytes, before this start wrote to it.

    What a user should know, if functions are others than at the last start.
    """
    changed = _changed(path, bound)
    nodes = [label(node.operator) for node in bound.nodes]
    requests = ["" if node.writer is None else node.writer.digest for node in bound.nodes]
    start = Start(network=digest, nodes=nodes, at=size, requests=requests)
    starts = starts_with(path, start)
    description: dict[str, Any] = {
        "version": 1,
        "network": digest,
        "nodes": nodes,
        "parents": _parents(bound),
        "models": {name: model.identity for name, model in bound.models.items()},
        "verifiers": [_verifier(node.checker) for node in bound.nodes if node.checker is not None],
        "starts": starts,
        "requests": requests,
        "ways": _ways(bound),
        "code": _code(bound),
    }
    path.with_suffix(".new").write_bytes(
        msgspec.json.format(msgspec.json.encode(description), indent=2)
    )
    path.with_suffix(".new").replace(path)
    if not changed:
        return None
    return (
        f"changed since the last start: {', '.join(changed)}; questions are answered anew, and "
        "calls that are the same come from the journal"
    )


def _code(bound: Bound) -> dict[str, str]:
    """Functions and verifiers of Python by name, with their source; models are in `models`."""
    used = (code for node in bound.nodes for code in (node.checker, node.function))
    return {name_of(code): source for code in used if (source := source_of(code))}


def _changed(path: Path, bound: Bound) -> list[str]:
    """Functions, verifiers and function models whose code is not that of the last start."""
    try:
        last = read_described(path)
    except (NoSuchRun, RunUnreadable):
        return []
    code = _code(bound)
    found = [name for name, source in code.items() if last.code.get(name, source) != source]
    for name, model in bound.models.items():
        was = last.models.get(name, model.identity)
        if was != model.identity and was.startswith(LOCAL) and model.identity.startswith(LOCAL):
            found.append(name)
    return found


def _verifier(checker: Any) -> str:
    """As lines of the journal name it."""
    if not isinstance(checker, Node):
        return code_name(checker)
    assert checker.writer is not None
    return f"{label(checker.operator)}@{checker.writer.digest}"


def _ways(bound: Bound) -> list[str]:
    ways = [""] * len(bound.nodes)
    for node in bound.nodes:
        for name, way in node.routes.items():
            ways[way.index] = name
        if isinstance(node.operator, Cascade):
            for place, step in enumerate(node.children, start=1):
                ways[step.index] = f"step {place}"
    return ways


def _parents(bound: Bound) -> list[int | None]:
    parents: list[int | None] = [None] * len(bound.nodes)
    for node in bound.nodes:
        for child in node.children:
            parents[child.index] = node.index
        if hasattr(node.checker, "index"):
            parents[node.checker.index] = node.index
    return parents
