"""A server to measure: a process of its own on loopback, in a folder that is gone afterwards."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo.stage import Stage
from parkade.wire.pools import OpenPool

TERMS = {
    "pay_as_you_go": "12",
    "reservation_rate": "4",
    "public_floor": "1",
    "fee": "2/7",
    "kill": "5s",
    "turnaround": "0s",
    "backoff": "0s",
    "buffer_nodes": 0,
}
"""Notice, clearing interval (30 s) and clearing pause (1 s) are the defaults."""


@contextlib.contextmanager
def served() -> Iterator[Stage]:
    """A running server as `parkade up` starts it, which starts the agent of a local pool."""
    with tempfile.TemporaryDirectory(prefix="parkade-bench-") as folder, Stage(Path(folder)) as it:
        yield it


def pool(*, site: str, fabrics: dict[str, list[str]], gpus: int, **terms: Any) -> OpenPool:
    """A pool with the terms above and these; the site `local` is run by the server's own agent."""
    kind: dict[str, Any] = {
        "name": "slots",
        "gpu_model": "slot",
        "gpus_per_node": gpus,
        "memory_gib": 4,
        "cpus": gpus,
    }
    opened = {
        "pool": "bench",
        "site": site,
        "instance_type": kind,
        "fabrics": fabrics,
        "terms": {**TERMS, **terms},
    }
    return OpenPool.model_validate(opened)
