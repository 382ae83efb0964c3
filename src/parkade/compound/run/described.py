"""What `run.json` says of a run: the nodes that the journal numbers, and which network made them.

A folder may have run several networks. The last one is described; each line of the journal belongs
to the network that ran when it was written, known by its place. What an earlier network wrote
counts for the last one where that one has a node that asks the same (a larger k keeps its samples),
or a verifier of that name: a changed template begins anew.
"""

import re
from pathlib import Path

import msgspec

from parkade.compound.wrong_values import in_words


class NoSuchRun(Exception):
    """There is no run, or not the question that is looked for in it; the message says which."""


class RunUnreadable(Exception):
    """A file of a run's folder is missing or is not what a run writes; the message names it."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A network that ran from a byte of the journal on."""

    network: str
    nodes: list[str]
    at: int
    #: What each node asks, as a digest without the question's own values; "" if it asks no model.
    requests: list[str] = []


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """The file `run.json`, version 1; what is absent was written before it was known."""

    version: int
    nodes: list[str]
    parents: list[int | None]
    network: str = ""
    models: dict[str, str] = {}
    #: Names of the verifiers, as verdicts have them; None: not known.
    verifiers: list[str] | None = None
    starts: list[Start] = []
    #: As in Start.
    requests: list[str] = []
    #: The name of each node that is a way of a route or a step of a cascade; "" of others.
    ways: list[str] = []
    #: Functions and verifiers of Python by name: digests of their source at the last start.
    code: dict[str, str] = {}

    def node_of(self, node: int, place: int) -> int | None:
        """The node of the last network for one that a line names; None if it has no such node."""
        start = self._start(place)
        if start is None or start.network == self.network:
            return node
        if start.requests and self.requests and start.requests[node]:
            return _same(start.requests, self.requests, node)
        names = [_without_count(label) for label in self.nodes]
        return _same([_without_count(label) for label in start.nodes], names, node)

    def has_verdict(self, verifier: str, place: int) -> bool:
        """Whether a verdict at that place is of a verifier of the last network."""
        start = self._start(place)
        if start is None or start.network == self.network:
            return True
        return self.verifiers is None or verifier in self.verifiers

    def _start(self, place: int) -> Start | None:
        before = (start for start in reversed(self.starts) if start.at <= place)
        return next(before, None)


def _same(earlier: list[str], now: list[str], node: int) -> int | None:
    """The node with that name now, the one in the same place before others."""
    name = earlier[node]
    if node < len(now) and now[node] == name:
        return node
    return now.index(name) if name in now else None


def _without_count(label: str) -> str:
    """`generate: 12 × m` draws the same samples as `generate: m`, only more."""
    return re.sub(r"\d+ × ", "", label)


_decode = msgspec.json.Decoder(Described).decode


def read_described(path: Path) -> Described:
    """What the file `run.json` of a run's folder says; NoSuchRun where it is missing."""
    try:
        return _decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        missing = f"it has no {path.name}" if path.parent.is_dir() else "there is no such folder"
        raise NoSuchRun(f"{path.parent} is no folder of a run: {missing}") from None
    except msgspec.DecodeError as error:
        raise RunUnreadable(f"{path} cannot be read: {in_words(error)}") from None


def starts_with(path: Path, start: Start) -> list[Start]:
    """The starts so far and this one, if the network is another than before."""
    try:
        known = read_described(path)
    except (NoSuchRun, RunUnreadable):
        return [start]
    starts = known.starts
    if not starts and known.network:
        first = Start(network=known.network, nodes=known.nodes, at=0, requests=known.requests)
        starts = [first]
    if starts and starts[-1].network == start.network:
        return starts
    return [*starts, start]
