"""The process that runs untrusted code: executes it, then answers calls to its functions.

It knows the code and the arguments of the calls, and nothing of the tests. It reads them itself,
so that they are in no other process, and closes that descriptor before it runs the code. Its one
channel leads to the tests or to the zygote; whatever the code writes there is an answer of the
code, right or wrong, and never a verdict.

    what it reads   {"number", "source", "names", "calls": [[name, arguments], …]}
    first message   {"ready": {name: "function" | "missing" | {"value": …} | {"module": name}}}
                    or {"raised": …} if the code failed
    a call          [name, arguments, keyword arguments], as `plain` encodes them
    its answer      {"value": …}, with "changed": arguments if the call changed them in place;
                    {"raised": [builtin exception, its arguments, own name]}; {"unsendable": type}
"""

import builtins
import os
import sys
import types
from typing import Any

from parkade.compound.verify.sandbox.inside import frames, plain

NAME = "solution"
MOST_CODE_BYTES = 16 << 20
EXIT = 0
MOST_MESSAGE = 1_000
MUTABLE = (list, dict, set, bytearray)


def serve(channel: int, code: int, number: int, most: int) -> int:
    """Runs the code of a job, answers calls until the other end closes. `most` bounds a call."""
    job = _read(code, number)
    module = _open(channel, job["source"], job["names"])
    while module is not None:
        name, arguments, keywords = plain.loads(frames.receive(channel, most))
        frames.send(channel, frames.dump(_answer(module, name, arguments, keywords)))
    return EXIT


def call_all(channel: int, code: int, number: int) -> int:
    """Runs the code of a job and writes the answers to all its calls, in order."""
    job = _read(code, number)
    module = _open(channel, job["source"], [])
    if module is not None:
        for name, arguments in job["calls"]:
            frames.send(channel, frames.dump(_answer(module, name, arguments, {"d": []})))
    return EXIT


def _read(code: int, number: int) -> dict[str, Any]:
    job: dict[str, Any] = plain.loads(frames.receive(code, MOST_CODE_BYTES))
    os.close(code)
    assert job["number"] == number
    return job


def _open(channel: int, source: str, names: list[str]) -> types.ModuleType | None:
    module = types.ModuleType(NAME)
    sys.modules[NAME] = module
    try:
        exec(compile(source, f"<{NAME}>", "exec", dont_inherit=True), module.__dict__)
        kinds = {name: _kind(module, name) for name in names}
    except Exception as error:  # noqa: BLE001 - whatever the code raises is its answer
        frames.send(channel, frames.dump({"raised": _description(error)}))
        return None
    frames.send(channel, frames.dump({"ready": kinds}))
    return module


def _kind(module: types.ModuleType, name: str) -> Any:
    value = getattr(module, name, _kind)
    if value is _kind:
        return "missing"
    if callable(value):
        return "function"
    if isinstance(value, types.ModuleType):
        return {"module": value.__name__}
    try:
        return {"value": plain.encode(value)}
    except plain.Unsendable:
        return "missing"


def _answer(module: types.ModuleType, name: str, arguments: Any, keywords: Any) -> dict[str, Any]:
    try:
        given = plain.decode(arguments)
        value = getattr(module, name)(*given, **plain.decode(keywords))
        answer = {"value": plain.encode(value)}
        if any(isinstance(argument, MUTABLE) for argument in given):
            after = plain.encode(given)
            if after != arguments:
                answer["changed"] = after
    except plain.Unsendable as error:
        return {"unsendable": str(error)[:MOST_MESSAGE]}
    except Exception as error:  # noqa: BLE001 - whatever the code raises is its answer
        return {"raised": _description(error)}
    return answer


def _description(error: Exception) -> list[Any]:
    """Name of the nearest built-in exception, its arguments or message, and its own name."""
    nearest = next(
        kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind
    )
    try:
        arguments = plain.encode(list(error.args))
        if len(frames.dump(arguments)) > MOST_MESSAGE:
            arguments = []
    except plain.Unsendable:
        arguments = []
    return [nearest.__name__, arguments or [str(error)[:MOST_MESSAGE]], type(error).__name__[:100]]
