"""A name of a constant means one thing in its module."""

import ast
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "parkade"


def constants(tree: ast.Module) -> Counter[str]:
    """How often each name in capitals is bound at the top of a module."""
    return Counter(
        node.id
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id.isupper()
    )


def test_no_constant_is_bound_twice() -> None:
    twice = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in SOURCE.rglob("*.py")
        for name, times in constants(ast.parse(path.read_text("utf-8"))).items()
        if times > 1
    }
    assert twice == set()


def test_one_that_is_bound_twice_is_found() -> None:
    assert constants(ast.parse("LIST, KEYS = 1, 2\nLIST = 3"))["LIST"] == 2
