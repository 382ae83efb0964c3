"""Changes one operator or number of a decider at a time and runs its tests: which changes live?

A mutant that no test notices is a survivor: either it decides the same, or a test is
missing. `docs/simulation/mutation.md` lists them and says which. mutmut and cosmic-ray were
weighed: both mutate a whole package, and neither takes a sample by module with the tests of each.

    python tools/mutation.py --sample 12 --processes 2
    python tools/mutation.py --only core/clearing/sizes.py --sample 0     every mutant of one

Ends with 0 whatever survives; the list is the result.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 300
"""A mutant whose tests take longer counts as killed: it no longer ends."""

KERNEL = "tests/core/kernel"
DECIDERS: dict[str, tuple[str, ...]] = {
    "core/billing/metering.py": ("tests/core/billing", "tests/core/running"),
    "core/clearing/debts.py": ("tests/core/clearing", f"{KERNEL}/test_eviction_debts.py"),
    "core/clearing/move_causes.py": ("tests/core/clearing", f"{KERNEL}/test_elastic.py"),
    "core/clearing/sizes.py": ("tests/core/clearing", f"{KERNEL}/test_elastic.py"),
    "core/market/sizes.py": ("tests/core/market/test_elastic.py", f"{KERNEL}/test_elastic.py"),
    "core/reservations/calendar.py": ("tests/core/reservations", "tests/core/leasing"),
    "core/running/backoff.py": ("tests/core/running",),
    "core/running/expiry.py": (
        "tests/core/billing",
        "tests/core/running",
        f"{KERNEL}/test_unstarted.py",
        f"{KERNEL}/test_windows.py",
        f"{KERNEL}/test_deadlines.py",
    ),
    "core/running/lapses.py": ("tests/core/running", f"{KERNEL}/test_deadlines.py"),
    "core/running/promises.py": ("tests/core/running", f"{KERNEL}/test_windows.py"),
    "core/steps/notices.py": ("tests/core/steps", "tests/core/clearing", "tests/core/running"),
    "core/steps/turnaround.py": ("tests/core/steps", "tests/core/running", "tests/core/repairing"),
}
"""Modules that decide, and the tests that hold each."""

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A changed module."""

    module: str
    line: int
    says: str
    source: str


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module; assertions are left alone, for they decide nothing."""
    tree = ast.parse(source)
    asserted = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        for inner in ast.walk(node)
    }
    for at, node in enumerate(ast.walk(tree)):
        if id(node) in asserted:
            continue
        for number in range(_changes_of(node)):
            changed = copy.deepcopy(tree)
            twin = next(it for place, it in enumerate(ast.walk(changed)) if place == at)
            before = ast.unparse(node)
            _change(twin, number)
            after = ast.unparse(twin)
            if before != after:
                line = getattr(node, "lineno", 0)
                yield Mutant(module, line, f"{before} -> {after}", ast.unparse(changed))


def _changes_of(node: ast.AST) -> int:
    """In how many ways a node can be changed."""
    match node:
        case ast.Compare():
            return len(node.ops)
        case ast.BoolOp() | ast.If() | ast.IfExp():
            return 1
        case ast.BinOp():
            return int(type(node.op) in _COMPUTED)
        case ast.UnaryOp(op=ast.Not()):
            return 1
        case ast.Constant(value=bool() | int()):
            return 1
        case ast.Call(func=ast.Name(id=name)):
            return int(name in _CALLED)
        case _:
            return 0


def _change(node: ast.AST, number: int) -> None:
    match node:
        case ast.Compare():
            node.ops[number] = _COMPARED[type(node.ops[number])]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.If() | ast.IfExp():
            node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        case ast.BinOp():
            node.op = _COMPUTED[type(node.op)]()
        case ast.UnaryOp():
            node.op = ast.UAdd()
            node.operand = ast.Call(func=ast.Name(id="bool"), args=[node.operand], keywords=[])
        case ast.Constant(value=bool(value)):
            node.value = not value
        case ast.Constant(value=int(value)):
            node.value = value + 1
        case ast.Call(func=ast.Name(id=name)):
            node.func = ast.Name(id=_CALLED[name])
        case _:
            raise AssertionError(f"{node} has no change")


def is_killed(mutant: Mutant, copy_of_src: Path) -> bool:
    """Whether a test fails in a tree that has the mutant."""
    file = copy_of_src / "parkade" / mutant.module
    kept = file.read_text()
    file.write_text(mutant.source)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not slow and not system", *DECIDERS[mutant.module]]
    environment = {**os.environ, "PYTHONPATH": str(copy_of_src), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        file.write_text(kept)
    return done.returncode != 0


def chosen(modules: list[str], sample: int, seed: int) -> list[Mutant]:
    """So many mutants of each module, drawn from the seed; 0: all."""
    found: list[Mutant] = []
    for module in modules:
        source = (ROOT / "src" / "parkade" / module).read_text()
        mutants = list(mutants_of(module, source))
        chance = random.Random(f"{seed}/{module}")
        drawn = mutants if not sample else chance.sample(mutants, min(sample, len(mutants)))
        found += sorted(drawn, key=lambda it: it.line)
    return found


def main() -> None:
    """Tries the mutants and prints those that live."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", action="append", choices=sorted(DECIDERS))
    parser.add_argument("--sample", type=int, default=12, help="of each module; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    modules = asked.only or sorted(DECIDERS)
    mutants = chosen(modules, asked.sample, asked.seed)
    with tempfile.TemporaryDirectory(prefix="parkade-mutation-") as folder:
        trees: Queue[Path] = Queue()
        for number in range(asked.processes):
            tree = Path(folder) / str(number)
            shutil.copytree(ROOT / "src", tree, ignore=shutil.ignore_patterns("__pycache__"))
            trees.put(tree)

        def tried(mutant: Mutant) -> bool:
            tree = trees.get()
            try:
                return is_killed(mutant, tree)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(asked.processes) as pool:
            results = list(pool.map(tried, mutants))
    for module in modules:
        of_it = [
            is_dead for it, is_dead in zip(mutants, results, strict=True) if it.module == module
        ]
        print(f"{module}: {sum(of_it)} of {len(of_it)} killed")
    for mutant, is_dead in zip(mutants, results, strict=True):
        if not is_dead:
            print(f"lives: {mutant.module}:{mutant.line}: {mutant.says}")


if __name__ == "__main__":
    main()
