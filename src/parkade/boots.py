"""Which start of this machine is the present one: Linux draws a random name for each."""

from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str | None:
    """The present boot's name; None where there is none."""
    try:
        return BOOT_ID.read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
