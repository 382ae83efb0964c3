"""The sums of the lot: GPUs by what they do, kept up to date node by node.

A node's part is made anew when the node changed, and exchanged in the sums; so no change costs a
look at all nodes. `lent` is summed in millionths, as a holder's lent GPUs are spread over its
nodes, and is rounded once.
"""

from collections.abc import Mapping

import msgspec

from parkade.wire import lot as wire


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GPUs of a node, or of several, by what they do."""

    gpus: int
    out: int
    """On nodes that are out of play."""

    owner: int
    on_demand: int
    spot: int

    lent_millionths: int
    """Of those that run as spot, what lenders own."""


NO_PART = Part(gpus=0, out=0, owner=0, on_demand=0, spot=0, lent_millionths=0)
_MILLION = 1_000_000


def part_of(node: wire.LotNode, holders: Mapping[str, wire.LotHolder]) -> Part:
    """What a node adds to the sums. What sits on a node that is out of play counts as out."""
    gpus = node.gpus
    if node.state == "out":
        return Part(gpus=gpus, out=gpus, owner=0, on_demand=0, spot=0, lent_millionths=0)
    by_use = {"owner": 0, "on-demand": 0, "spot": 0}
    lent = 0
    for seat in node.seats:
        holder = holders[seat.holder]
        by_use[holder.use] += seat.gpus
        if holder.lent:
            lent += round(_MILLION * seat.gpus * holder.lent / holder.gpus)
    return Part(
        gpus=gpus,
        out=0,
        owner=by_use["owner"],
        on_demand=by_use["on-demand"],
        spot=by_use["spot"],
        lent_millionths=lent,
    )


def exchanged(whole: Part, gone: Part, come: Part) -> Part:
    """The sums, where one node has another part than before."""
    return Part(
        gpus=whole.gpus - gone.gpus + come.gpus,
        out=whole.out - gone.out + come.out,
        owner=whole.owner - gone.owner + come.owner,
        on_demand=whole.on_demand - gone.on_demand + come.on_demand,
        spot=whole.spot - gone.spot + come.spot,
        lent_millionths=whole.lent_millionths - gone.lent_millionths + come.lent_millionths,
    )


def sums(whole: Part) -> wire.LotSums:
    """GPUs by what they do; idle is what is left."""
    used = whole.out + whole.owner + whole.on_demand + whole.spot
    on_loan = min(round(whole.lent_millionths / _MILLION), whole.spot)
    return wire.LotSums(
        gpus=whole.gpus,
        owner=whole.owner,
        lent=on_loan,
        spot=whole.spot - on_loan,
        on_demand=whole.on_demand,
        idle=max(0, whole.gpus - used),
        out=whole.out,
    )
