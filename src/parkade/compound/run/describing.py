"""Writes `run.json` at each start of a run: which network the journal's lines are of (`described`).

The file is replaced whole. A start of another network than before is added to those it knows.
"""

from pathlib import Path
from typing import Any

import msgspec

from parkade.compound.network.binding import Bound, Node
from parkade.compound.network.digest import name_of
from parkade.compound.network.drawing import label
from parkade.compound.run.described import Start, starts_with


def describe(path: Path, bound: Bound, digest: str, size: int) -> None:
    """Write the file; `size` is the journal's, in bytes, before this start wrote to it."""
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
    }
    path.with_suffix(".new").write_bytes(
        msgspec.json.format(msgspec.json.encode(description), indent=2)
    )
    path.with_suffix(".new").replace(path)


def _verifier(checker: Any) -> str:
    """As lines of the journal name it."""
    if not isinstance(checker, Node):
        return name_of(checker)
    assert checker.writer is not None
    return f"{label(checker.operator)}@{checker.writer.digest}"


def _parents(bound: Bound) -> list[int | None]:
    parents: list[int | None] = [None] * len(bound.nodes)
    for node in bound.nodes:
        for child in node.children:
            parents[child.index] = node.index
        if hasattr(node.checker, "index"):
            parents[node.checker.index] = node.index
    return parents
