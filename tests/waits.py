"""How long tests wait: until a thing is true, and at most so long that a loaded machine gets there.

The bound only tells a test that hangs from one that is slow, so it is one for all.
"""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 120.0
POLL_S = 0.02

T = TypeVar("T")


def until(holds: Callable[[], T], why: Callable[[], object] = lambda: "it never came to be") -> T:
    """What `holds` returns as soon as it is true; `why` explains where it never is."""
    ends_at = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < ends_at, why()
        time.sleep(POLL_S)
    return found
