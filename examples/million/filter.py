"""A cheap filter before the sandbox: drops programs without running them.

Dropped are what does not parse, what does not use its input, and what is the same as one seen
before but for order of operands and for lines without effect. A program that has anything but
assignments, loops and a return is kept as it stands: what it does is for the sandbox to find out.
"""

import ast
import hashlib

PLAIN = (ast.FunctionDef, ast.Assign, ast.For, ast.Return)
COMMUTE = ("max", "min")
DIGEST_BYTES = 8


def digest(source: str) -> int | None:
    """Equal for programs that must do the same; None for one that cannot be right."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    text = source if _is_odd(tree) else _normal_form(tree)
    if text is None:
        return None
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest())


def _is_odd(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.stmt) and not isinstance(node, PLAIN) for node in ast.walk(tree)
    )


def _normal_form(tree: ast.Module) -> str | None:
    function = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(function, ast.FunctionDef):
        return None
    live = _live_names(function)
    if function.args.args and function.args.args[0].arg not in live:
        return None
    return _text(function, live)


def _live_names(function: ast.FunctionDef) -> set[str]:
    """Names that the returned value may depend on."""
    sources: dict[str, set[str]] = {}
    live: set[str] = set()
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                sources.setdefault(name, set()).update(_names(value))
            case ast.For(target=ast.Name(id=name), iter=value):
                sources.setdefault(name, set()).update(_names(value))
            case ast.Return(value=ast.expr() as value):
                live |= _names(value)
    waiting = list(live)
    while waiting:
        for name in sources.get(waiting.pop(), set()) - live:
            live.add(name)
            waiting.append(name)
    return live


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _text(node: ast.AST, live: set[str]) -> str:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return f"{name}={_text(value, live)};" if name in live else ""
        case ast.FunctionDef(body=body):
            return "".join(_text(one, live) for one in body)
        case ast.For(body=body, iter=iterated):
            return f"for {_text(iterated, live)}{{{''.join(_text(one, live) for one in body)}}}"
        case ast.Return(value=ast.expr() as value):
            return f"return {_text(value, live)}"
        case ast.BinOp(left=left, op=ast.Add() | ast.Mult() as kind, right=right):
            sides = sorted((_text(left, live), _text(right, live)))
            return f"({type(kind).__name__} {' '.join(sides)})"
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in COMMUTE:
            return f"({name} {' '.join(sorted(_text(one, live) for one in arguments))})"
        case ast.Name(id=name):
            return name
        case _:
            return ast.dump(node)
