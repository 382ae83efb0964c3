"""What Python's cycle collector is kept from: a stretch of work, and what stays for good.

A clearing makes hundreds of thousands of values and no cycle, all of which are gone when it ends.
The collector would walk those that live again and again; reference counting frees them as ever.
Decision record 163 has what it saves; `tests/control/test_uncollected.py` holds that no cycle is
left. A server's modules and the world that it read stay until it ends (decision record 234).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 20_000
"""Containers that may be new before the collector looks at the youngest."""


@contextmanager
def uncollected() -> Iterator[None]:
    """The collector is off meanwhile, for the whole process; afterwards it is as it was."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def set_apart() -> None:
    """The collector ignores what exists now; later values are collected as before, the youngest
    less often than by default: what a request makes is mostly gone by then, uncollected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
