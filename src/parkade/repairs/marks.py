"""The variables of Parkade that a process was started with: how what it belongs to is known."""

import os
from pathlib import Path

PROC = Path("/proc")


def processes() -> list[Path]:
    """The folders in `/proc` of the other processes of this machine."""
    own = str(os.getpid())
    return [it for it in PROC.iterdir() if it.name.isdecimal() and it.name != own]


def marks(process: Path) -> dict[str, str]:
    """Its variables whose names begin with `PARKADE_`; none where they cannot be read."""
    try:
        content = (process / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (part.partition(b"=") for part in content.split(b"\0") if part.startswith(b"PARKADE_"))
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, _, value in pairs}
