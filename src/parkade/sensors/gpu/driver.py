"""The version of the GPU driver that the kernel has loaded."""

import re
from pathlib import Path

VERSION = Path("/proc/driver/nvidia/version")
_VERSION = re.compile(r"Kernel Module(?: for \S+)?\s+([0-9]+(?:\.[0-9]+)+)")


def driver_version(path: Path = VERSION) -> str | None:
    """As `570.86.10`; None where no such driver is loaded, or its word is not understood."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return None
    found = _VERSION.search(text)
    return None if found is None else found[1]
