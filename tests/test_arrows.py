"""The core is pure: what import-linter cannot see of it, because it is in the standard library.

Arrows between our own packages, and to installed ones, are contracts in `pyproject.toml`.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waits import PATIENCE_S

CORE = Path(__file__).parents[1] / "src" / "parkade" / "core"

# Modules that compute and hold; none reads a clock, draws a number, does I/O or keeps state.
PURE = {
    "__future__", "abc", "base64", "bisect", "collections", "copy", "dataclasses", "decimal",
    "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "itertools", "math",
    "msgspec", "operator", "parkade", "re", "string", "types", "typing",
}  # fmt: skip
IMPURE_CALLS = {"__import__", "breakpoint", "eval", "exec", "hash", "id", "input", "open", "print"}


def imported_modules(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield node.lineno, module


def called_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                yield node.lineno, name


def impurities(source: str) -> list[str]:
    """One line for each import or call the core may not have, in order of its place."""
    tree = ast.parse(source)
    found = [
        (line, f"imports {name}")
        for line, name in imported_modules(tree)
        if name.partition(".")[0] not in PURE
    ]
    found += [(line, f"calls {name}") for line, name in called_names(tree) if name in IMPURE_CALLS]
    found += [
        (node.lineno, "is async")
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await)
    ]
    return [f"line {line} {what}" for line, what in sorted(found)]


def test_the_core_reads_no_clock_draws_no_number_and_does_no_io() -> None:
    found = [
        f"{path.relative_to(CORE)} {impurity}"
        for path in sorted(CORE.rglob("*.py"))
        for impurity in impurities(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "impurity"),
    [
        ("import time", "imports time"),
        ("import os.path", "imports os.path"),
        ("from random import choice", "imports random"),
        ("from datetime import datetime", "imports datetime"),
        ("def f():\n    import logging", "imports logging"),
        ("print(1)", "calls print"),
        ("x = hash('a')", "calls hash"),
        ("async def f(): ...", "is async"),
    ],
)
def test_an_impurity_is_found(source: str, impurity: str) -> None:
    assert [line.split(maxsplit=2)[2] for line in impurities(source)] == [impurity]


def test_pure_code_is_left_alone() -> None:
    assert impurities("from collections.abc import Sequence\nimport msgspec\nx = sorted([2])") == []


@pytest.mark.parametrize("package", ["wire", "client", "compound"])
def test_what_a_plain_install_gives_loads_no_server(package: str) -> None:
    server = {"fastapi", "sqlalchemy", "uvicorn", "parkade.control"}
    program = f"import parkade.{package}, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    ).stdout.split()
    assert server.isdisjoint(loaded)
    core = {name for name in loaded if name.startswith("parkade.core.")}
    assert all(name.split(".")[2] == "units" for name in core), core
