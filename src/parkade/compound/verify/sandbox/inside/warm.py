"""What is done once in the zygote, so that no job pays for it.

Imports, and a rehearsal: the harness runs a program of its own, whose calls and answers have been
written beforehand. Python then knows its code by heart (PEP 659): instructions are specialised and
look-ups remembered. A forked process would learn both anew, and each page of memory that it writes
on the way would be copied for it alone.

The rehearsal leaves nothing but that: no descriptor, no module, no value.
"""

import importlib
import os
import socket
import sys
from typing import Any

from parkade.compound.verify.sandbox.inside import candidate, frames, kernel, plain, tester

# What solutions import most: loaded once, found by every job at no cost. Not `random`, nor what
# imports it: it seeds itself in every forked process, which costs all more than it gives to a few.
WARM = (
    "abc", "array", "bisect", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal",
    "enum", "fractions", "functools", "hashlib", "heapq", "inspect", "itertools", "json", "math",
    "operator", "re", "string", "textwrap", "time", "types", "typing",
)  # fmt: skip

#: Python specialises a function after eight calls (3.11, 3.12), and some instructions later.
ROUNDS = 24
MOST = 1 << 16
SOURCE = """from typing import List

def f(values: List[int], word: str = "") -> List[int]:
    return sorted(values)
"""
TESTS = """
def check(candidate):
    assert candidate([3, 1], "a") == [1, 3]
    assert candidate([], word="b") == []
    assert candidate([0.5, -2]) == [-2, 0.5]
"""
CALLS: tuple[tuple[list[Any], dict[str, Any]], ...] = (
    ([[3, 1], "a"], {}),
    ([[]], {"word": "b"}),
    ([[0.5, -2]], {}),
)


def load() -> None:
    """Imports what jobs will find imported."""
    for name in WARM:
        importlib.import_module(name)


def rehearse() -> None:
    """Runs what each job runs, on a program of its own."""
    for _ in range(ROUNDS):
        _tell(_answer())
        kernel.make([kernel.going_to(b"/tmp")])


def _answer() -> bytes:
    """The candidate's side: calls are written first, then read and answered."""
    ours, theirs = socket.socketpair()
    code = _written({"number": 1, "source": SOURCE, "names": ["f"], "calls": []})
    with ours, theirs:
        for arguments, keywords in CALLS:
            asked = ["f", plain.encode(arguments), plain.encode(keywords)]
            frames.send(ours.fileno(), frames.dump(asked))
        ours.shutdown(socket.SHUT_WR)
        try:
            candidate.serve(theirs.fileno(), code, 1, MOST)
        except frames.Ended:
            pass
        del sys.modules[candidate.NAME]
        return ours.recv(MOST)


def _tell(answers: bytes) -> None:
    """The tester's side: answers are written first, then asked for."""
    ours, theirs = socket.socketpair()
    hear, say = os.pipe()
    hear_done, say_done = os.pipe()
    begin, say_begin = os.pipe()
    os.write(say_begin, tester.BEGIN.pack(1))
    asked = {"number": 1, "prelude": SOURCE, "tests": TESTS, "names": ["f"], "check": "check"}
    with ours, theirs:
        theirs.sendall(answers)
        ways = tester.Ways(
            verdict=say, done=say_done, begin=begin, tests=_written(asked | {"most": MOST})
        )
        tester.serve(ways, (ours.fileno(),), 1)
    for one in (say, hear_done, say_done, say_begin):
        os.close(one)
    verdict = plain.loads(frames.receive(hear, MOST))
    os.close(hear)
    assert verdict["kind"] == "passed", verdict["reason"]


def _written(message: dict[str, Any]) -> int:
    """A descriptor from which the message can be read."""
    hear, say = os.pipe()
    frames.send(say, frames.dump(message))
    os.close(say)
    return hear
