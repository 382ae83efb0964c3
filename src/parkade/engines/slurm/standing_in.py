"""Decides for which failed nodes of a partner its pool stands in. Pure.

A partner marks nodes of its cluster as a buffer and lends them: they are the pool. When one of its
other nodes fails, the buffer is there for that. The agent's option `stands_in` names those others
and the partner's reservation. Each of them that Slurm calls down, drained or failing asks for one
node of the reservation, as a job of the owner would; guests leave with the notice of the market.
The node that is given leaves the fence, and Slurm starts on it whatever waits for it. Once the
failed node is back, the node that stood in is fenced again; what runs there by then ends first.

Example: a cluster of n1-n6, `stands_in=n[1-4]=acme` and a pool of n5 and n6. n2 fails: the group
`for-n2` asks for a node of `acme`, is given n5, and the fence keeps n6 alone. n2 is resumed: the
claim ends, and the fence has both nodes.
"""

from collections.abc import Iterable, Iterator

import msgspec

from parkade.core.fleet.pool import TakenNode
from parkade.engines.slurm.hosts import expand
from parkade.engines.slurm.owners import NO_ROOM, Group
from parkade.ports import GivenNodes

PREFIX = "for-"


class Standby(msgspec.Struct, frozen=True, kw_only=True):
    """`nodes` of the partner's own, for which nodes of `reservation` stand in."""

    nodes: frozenset[str]
    reservation: str


NONE = Standby(nodes=frozenset(), reservation="")


def parse(text: str) -> Standby:
    """Of `n[1-4],n9=acme`; nothing of an empty text. ValueError says what is wrong."""
    if not text:
        return NONE
    short, equals, reservation = text.rpartition("=")
    nodes = expand(short)
    if not (equals and reservation and nodes):
        raise ValueError(f"stands_in: {text[:100]!r}: write NODES=RESERVATION, as n[1-4]=acme")
    return Standby(nodes=frozenset(nodes), reservation=reservation)


def groups(unfit: Iterable[TakenNode], standby: Standby) -> Iterator[Group]:
    """One for each failed node, in order of their names; each asks for a node."""
    for node in sorted({one.node for one in unfit} & standby.nodes):
        yield Group(
            key=f"{PREFIX}{node}",
            reservation=standby.reservation,
            jobs=(),
            tasks=0,
            nodes=1,
            least=1,
            free=NO_ROOM,
        )


def opened(given: Iterable[GivenNodes], asked: Iterable[Group]) -> frozenset[str]:
    """Nodes that stand in now, and are outside the fence."""
    keys = {group.key for group in asked}
    return frozenset(node for one in given if one.job in keys for node in one.nodes)
