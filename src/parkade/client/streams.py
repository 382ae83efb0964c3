"""What both clients share about streams: positions, time limits, addresses."""

from urllib.parse import quote

import httpx
import httpx_sse

from parkade import __version__
from parkade.wire.feed import Event

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# The server sends a comment line at least every 15 seconds.
SILENCE_S = 45.0


def stream_timeout(*, is_quiet: bool = False) -> httpx.Timeout:
    """A stream that is silent for longer is broken, unless it may be quiet for ever."""
    return httpx.Timeout(None if is_quiet else SILENCE_S, connect=5.0)


def headers_of(token: str | None) -> dict[str, str]:
    """Those of every request."""
    headers = {"User-Agent": f"parkade/{__version__}"}
    return headers if token is None else {**headers, "Authorization": f"Bearer {token}"}


def log_path(workload: str) -> str:
    """Where the output of a workload is."""
    return f"/v1/workloads/{quote(workload, safe='')}/logs"


class Position:
    """How far the events were read, and how often in a row the connection failed."""

    def __init__(self, after: int | None) -> None:
        self.after = after
        self.failures = 0

    def params(self, *, follow: bool) -> dict[str, str]:
        """What to ask for."""
        params = {"follow": str(follow).lower()}
        return params if self.after is None else {**params, "after": str(self.after)}

    def take(self, received: httpx_sse.ServerSentEvent) -> Event | None:
        """The event that was received, if it is one; remembers where to go on."""
        self.failures = 0
        if received.id.isdecimal():
            self.after = int(received.id)
        return Event.model_validate_json(received.data) if received.event == "event" else None

    def failed(self) -> int:
        """Counts a lost connection."""
        self.failures += 1
        return self.failures
