"""The addresses of one marketplace: the server that leads and those that stand by for it.

They are written as one text with commas. A caller asks one of them until that fails, and then the
next: which one leads is not known beforehand, and changes.
"""

import threading


def addresses(text: str) -> tuple[str, ...]:
    """The single addresses of a text; it has at least one."""
    found = tuple(part.strip().rstrip("/") for part in text.split(","))
    return tuple(part for part in found if part) or (text,)


class Servers:
    """Which address is asked now. Any thread may use it."""

    def __init__(self, text: str) -> None:
        self.all = addresses(text)
        self._lock = threading.Lock()
        self._number = 0

    def __len__(self) -> int:
        return len(self.all)

    def __str__(self) -> str:
        return ", ".join(self.all)

    @property
    def now(self) -> str:
        """The address to ask."""
        return self.all[self._number]

    def failed(self, address: str) -> str:
        """The address to ask after this one has failed; where another caller has turned away from
        it already, nothing changes."""
        with self._lock:
            if address == self.now:
                self._number = (self._number + 1) % len(self.all)
            return self.now
