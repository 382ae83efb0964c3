"""The Python behind the names of a network, as digests of source text: changed code is noticed.

A function counts with the text of the whole file that it stands in, so that a change of what it
calls there is noticed too; a change in other modules, in what a closure holds, or in a file that it
reads is not. What has a `version` of its own counts with that alone, and so does Parkade's own
code. Without readable source (a built-in, a session without a file) only the name counts.
"""

import functools
import inspect
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

DIGEST_BYTES = 8
#: Its verifiers have versions, and a newer Parkade is no other network.
OWN = "parkade."


def source_of(code: Any) -> str:
    """A digest of the file that a function or a callable object stands in; "" if it has none."""
    if code is None or isinstance(code, str) or hasattr(code, "version"):
        return ""
    target = _target(code)
    if str(getattr(target, "__module__", "")).startswith(OWN):
        return ""
    return _digest(inspect.getmodule(target)) or _digest(target)


def own_source_of(function: Callable[..., Any]) -> str:
    """A digest of a function's own text; "" where it cannot be read."""
    return _digest(_target(function))


def _target(code: Any) -> Any:
    """What has source: inside partials and decorators, and of an object its class."""
    while isinstance(code, functools.partial):
        code = code.func
    code = inspect.unwrap(code) if callable(code) else code
    if inspect.isroutine(code) or inspect.isclass(code):
        return code
    return type(code)


def _digest(target: Any) -> str:
    try:
        text = inspect.getsource(target)
    except (OSError, TypeError):
        return ""
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()
