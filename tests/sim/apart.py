"""Runs something in a process of its own, so that what it patches is patched nowhere else.

Servers of other tests run in threads of this process for as long as all its tests, on the very
functions into which a fault is planted.
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")


def apart(run: Callable[[], T]) -> T:
    """What `run` returns in a copy of this process; it must be possible to pickle it. Raises
    EOFError where it raises anything, whose traceback is on stderr."""
    processes = multiprocessing.get_context("fork")
    here, there = processes.Pipe(duplex=False)
    child = processes.Process(target=_answer, args=(run, there))
    child.start()
    there.close()
    try:
        found: T = here.recv()
    finally:
        child.join()
        here.close()
    return found


def _answer(run: Callable[[], object], to: Connection) -> None:
    to.send(run())
