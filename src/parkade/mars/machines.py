"""The node of each line of a recorded log: one node, or every machine that the log names.

Syslog may collect what many machines write. With a node named, its lines are taken, and those that
name no machine, as `dmesg` prints them; those of others are counted and left out. Without, each
machine is a node by the name that its lines have first; short and full names are one machine. A
line that may name a machine in a form that is not known blames none that has a name.
"""

from typing import Protocol

from parkade.sensors.kernel_log.hosts import Hosts

MOST_MACHINES = 20_000
"""Of one scan; lines of more are left out."""
UNNAMED = "unnamed"
"""Stands for the machines of lines that name theirs in no known form."""


class Lines(Protocol):
    """Which lines are taken, and for which node. `unplaced`: the node of lines that may name their
    machine in a form that is not known; None: they are left out."""

    @property
    def unplaced(self) -> str | None: ...

    def owner(self, host: str | None) -> str | None:
        """The node of a line that names this machine, or none; None: it is left out."""
        ...


class OneNode:
    """The lines of one node, which has these names in the log."""

    unplaced: str | None = None

    def __init__(self, node: str, hosts: tuple[str, ...] = ()) -> None:
        self._node = node
        self._hosts = Hosts(hosts or (node,))

    def owner(self, host: str | None) -> str | None:
        """See `Lines`."""
        return self._node if host is None or self._hosts.has(host) else None


class EveryLine:
    """All lines are the node's, whatever they name: its own kernel wrote them."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.unplaced: str | None = node

    def owner(self, host: str | None) -> str | None:  # noqa: ARG002 - of the protocol
        """See `Lines`."""
        return self._node


class EveryMachine:
    """Each machine is a node; lines that name none are of `unnamed`, as those of a `dmesg`."""

    unplaced: str | None = UNNAMED

    def __init__(self, unnamed: str) -> None:
        self._unnamed = unnamed
        self._nodes: dict[str, str] = {}
        self._by_first: dict[str, str] = {}

    def owner(self, host: str | None) -> str | None:
        """See `Lines`."""
        if host is None:
            return self._unnamed
        node = self._nodes.get(host)
        return node if node is not None else self._known(host)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every machine that was named."""
        return tuple(dict.fromkeys(self._nodes.values()))

    def _known(self, host: str) -> str | None:
        """The node of a name that was not seen so far."""
        name = host.lower().rstrip(".")
        first, _, rest = name.partition(".")
        is_address = first.isdecimal()
        node = self._nodes.get(name)
        if node is None and not is_address:
            # A short name and the first full one that begins with it are one machine.
            if not rest:
                node = self._by_first.get(name)
            elif first not in self._by_first:
                node = self._nodes.get(first)
        if node is None:
            if len(self._nodes) >= MOST_MACHINES:
                return None
            node = host
        self._nodes[host] = self._nodes[name] = node
        if rest and not is_address:
            self._by_first.setdefault(first, node)
        return node
