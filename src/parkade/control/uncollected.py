"""A stretch of work in which Python's cycle collector does not run.

A clearing makes hundreds of thousands of values and no cycle, all of which are gone when it ends.
The collector would walk those that live again and again; reference counting frees them as ever.
Decision record 163 has what it saves; `tests/control/test_uncollected.py` holds that no cycle is
left.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
