"""The names under which machines write into a log, short or full."""

from collections.abc import Iterable


class Hosts:
    """Names of machines. `has` answers as `stamps.is_same_host` with any of them, at the cost of
    one name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower().rstrip(".") for name in names)
        firsts = (name.partition(".") for name in self._names)
        self._firsts = frozenset(first for first, _, rest in firsts if rest)

    def has(self, host: str) -> bool:
        """Whether a name is that of one of these machines."""
        name = host.lower().rstrip(".")
        if name in self._names:
            return True
        first, _, rest = name.partition(".")
        if first.isdecimal():
            return False
        return first in self._names if rest else name in self._firsts
