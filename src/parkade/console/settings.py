"""What an installation sets of the console."""

from pathlib import Path

import msgspec


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`folder`: where sessions and samples are kept; None: in memory alone. `session_s`: how long a
    session lasts. `failed_logins` of one address within `failed_within_s` are answered, no more.
    `sample_s`: the least time between two samples of the history."""

    unit: str = "USD"
    folder: Path | None = None
    session_s: float = 7 * 86_400.0
    failed_logins: int = 10
    failed_within_s: float = 60.0
    sample_s: float = 1.0
