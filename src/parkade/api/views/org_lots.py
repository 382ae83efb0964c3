"""What an org that is no operator's sees of the lot: its own work, and no state of any node.

What another org has is left out here, in one place (`seen_by`).
"""

from collections.abc import Iterable

from parkade.wire import lot as wire


class OrgLots:
    """What an org may see of one lot after another. While nothing of its own changed, its nodes are
    the same objects as before; that is found by a look at all holders."""

    def __init__(self, org: str) -> None:
        self.org = org
        self._own: tuple[wire.LotHolder, ...] = ()
        self._names: tuple[str, ...] = ()
        self._lot: wire.Lot | None = None

    def take(self, lot: wire.Lot, names: tuple[str, ...]) -> wire.Lot:
        """The org's lot. `names`: those of all nodes, the same object while they are the same."""
        own = tuple(each for each in lot.holders if each.org == self.org)
        before = self._lot
        is_same = (
            before is not None
            and self._names is names
            and len(own) == len(self._own)
            and all(one is other for one, other in zip(own, self._own, strict=True))
        )
        if is_same and before is not None:
            made = before.model_copy(update={"sequence": lot.sequence, "at": lot.at})
        else:
            made = seen_by(lot, self.org)
        self._own, self._names, self._lot = own, names, made
        return made


def seen_by(lot: wire.Lot, org: str) -> wire.Lot:
    """What an org that is no operator's may see of it. Grows with nodes and holders."""
    own = [each for each in lot.holders if each.org == org]
    return wire.Lot.model_construct(
        sequence=lot.sequence,
        at=lot.at,
        nodes=_of_org(lot.nodes, {each.holder for each in own}),
        holders=tuple(each.model_copy(update={"lent": None}) for each in own),
        fabrics=tuple(
            each.model_copy(update={"buffer": None, "lent": None, "kept": None})
            for each in lot.fabrics
        ),
        sums=None,
        promises=None,
    )


def _of_org(nodes: Iterable[wire.LotNode], own: set[str]) -> tuple[wire.LotNode, ...]:
    return tuple(
        wire.LotNode.model_construct(
            node=node.node,
            pool=node.pool,
            market=node.market,
            fabric=node.fabric,
            gpus=node.gpus,
            state=None,
            says="",
            seats=tuple(seat for seat in node.seats if seat.holder in own),
            promised=tuple(seat for seat in node.promised if seat.holder in own),
            health=None,
            cordons=(),
        )
        for node in nodes
    )
