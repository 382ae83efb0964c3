"""What a user's function raised, in words: whose it is, what it says, and where in its file."""

import inspect
from pathlib import Path
from traceback import extract_tb
from typing import Any

from parkade.compound.network.digest import function_name


def raised(function: Any, error: BaseException) -> str:
    """`guess raised KeyError: 'n' (rules.py, line 7)`; without a place where its file is unknown.

    The place is the last one in the function's own file, not deep in a library that it called.
    """
    text = f"{function_name(function)} raised {type(error).__name__}: {error}"
    file = _file(function)
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return f"{text} ({Path(file).name}, line {lines[-1]})" if file and lines else text


def _file(function: Any) -> str:
    function = inspect.unwrap(getattr(function, "func", function))
    if not inspect.isroutine(function):
        # An object that is called.
        function = type(function).__call__
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return "" if code is None else str(code.co_filename)
