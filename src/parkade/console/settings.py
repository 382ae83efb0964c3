"""What an installation sets of the console."""

from pathlib import Path

import msgspec


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`folder`: where sessions and samples are kept; None: in memory alone. `session_s`: how long a
    session lasts. `failed_logins` of one address within `failed_within_s` are answered, no more.
    `url`: where people reach the server, for logins by a provider; empty: as each request says.
    `sample_s`: the least time between two samples of the history. `what_if`: the program that plays
    the journal under other terms, but for its changes; `verify`: the one that decides a clearing
    again, but for its position. Empty: there is none."""

    unit: str = "USD"
    url: str = ""
    folder: Path | None = None
    session_s: float = 7 * 86_400.0
    failed_logins: int = 10
    failed_within_s: float = 60.0
    sample_s: float = 1.0
    what_if: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
