"""The names under which machines write into a log, short or full."""

from collections.abc import Iterable


class Hosts:
    """Names of machines. Two names may be one machine where they are equal, or one is the first
    label of the other. Names of hosts have no case, and an address is only itself. `has` asks for
    any of the names, at the cost of one.

    Two full names under one short one are two machines, and no one can tell which is meant: from
    the second on, neither is."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower().rstrip(".") for name in names)
        firsts = (name.partition(".") for name in self._names)
        self._firsts = frozenset(first for first, _, rest in firsts if rest)
        self._met: dict[str, str] = {}
        self._doubted: set[str] = set()

    def has(self, host: str) -> bool:
        """Whether a name is that of one of these machines."""
        name = host.lower().rstrip(".")
        if name in self._names:
            return True
        first, _, rest = name.partition(".")
        if first.isdecimal():
            return False
        if not rest:
            return name in self._firsts
        if first not in self._names:
            return False
        if self._met.setdefault(first, name) != name:
            self._doubted.add(first)
        return first not in self._doubted
