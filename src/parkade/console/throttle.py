"""How often an address may try a wrong token: so many times within a span, then it waits.

Tokens have 256 random bits, so no number of tries finds one; this bounds what trying costs. A right
token is not kept waiting: behind a proxy all users have one address.
"""

from collections import deque

MOST_ADDRESSES = 4096


class Throttle:
    """Failures by address, each forgotten after `within_s`. Bounded in addresses: where there are
    too many, the one that failed least recently is forgotten."""

    def __init__(self, *, most: int, within_s: float) -> None:
        self._most = most
        self._within_s = within_s
        self._failures: dict[str, deque[float]] = {}

    def wait_s(self, address: str, now_s: float) -> float:
        """How long the address must wait before it may try again; 0: it may now."""
        failures = self._failures.get(address)
        while failures and failures[0] <= now_s - self._within_s:
            failures.popleft()
        if not failures:
            self._failures.pop(address, None)
            return 0.0
        return 0.0 if len(failures) < self._most else failures[0] + self._within_s - now_s

    def failed(self, address: str, now_s: float) -> None:
        """It tried a wrong token."""
        failures = self._failures.pop(address, None) or deque(maxlen=self._most)
        failures.append(now_s)
        self._failures[address] = failures
        if len(self._failures) > MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]
