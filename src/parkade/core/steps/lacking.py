"""What is missing for a sale, as its refusal: nodes in the calendar, or money.

Each says how many are wanted, how many there are, and the difference, which a user asks for next.
"""

from collections.abc import Mapping

from parkade.core.fleet.market import Market
from parkade.core.state.world import World
from parkade.core.steps.capacity import unheard_pools
from parkade.core.steps.permissions import is_operator
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import counted, some_of
from parkade.core.units.refusal import Reason, Refusal


def short_of_nodes(
    world: World,
    market: Market,
    free: Mapping[str, int],
    nodes: int,
    *,
    span: str,
    does: str,
    field: str,
) -> Refusal:
    """No fabric of these, by their nodes that may still be sold, has so many for a `span`, as
    "for the whole window". `does`: what to do about it."""
    most, where = max(((left, fabric) for fabric, left in free.items()), default=(0, ""))
    missing = nodes - most
    assert missing > 0, "there is room"
    if len(free) == 1:
        fabric, has = where, f"{most:,} {_are(most)} unsold there"
    else:
        fabric, has = "one fabric", f"at most {most:,} {_are(most)} unsold in one"
        has += f" ({where})" if most else ""
    return Refusal(
        reason=Reason.NO_CAPACITY,
        detail=f"it needs {counted(nodes, 'node')} in {fabric} {span}, and"
        f" {has}{_unheard(world, market)}: {missing:,} {_are(missing)} missing; {does}",
        field=field,
    )


def short_of_nodes_in_all(
    world: World, market: Market, free: Mapping[str, int], nodes: int
) -> Refusal:
    """All fabrics together have less than so many nodes that may be sold over a whole window."""
    missing = nodes - sum(free.values())
    left = ", ".join(f"{fabric} {nodes:,}" for fabric, nodes in free.items()) or "none"
    return Refusal(
        reason=Reason.NO_CAPACITY,
        detail=f"nodes that can be sold over the whole window: {left}{_unheard(world, market)}."
        f" {missing:,} of the {nodes:,} {_are(missing)} missing; ask for fewer, or for another"
        " window",
        field="nodes",
    )


def short_of_money(
    world: World, org: str, says: str, *, cost_micros: int, available_micros: int, by: str | None
) -> Refusal:
    """An org can commit less than something costs. `says`: what costs how much."""
    missing = format_amount(cost_micros - available_micros)
    deposit = "deposit it" if is_operator(world, by) else "ask an operator to deposit it"
    return Refusal(
        reason=Reason.INSUFFICIENT_FUNDS,
        detail=f"{says}, and {org} can commit {format_amount(max(0, available_micros))}:"
        f" {missing} are missing; {deposit}: parkade deposit {org} {missing}",
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _unheard(world: World, market: Market) -> str:
    """Pools of the market of which nothing is sold, since their agents were never heard."""
    pools = unheard_pools(world).intersection(world.pools_of.get(market.market, {}))
    return f" (no agent of {some_of(sorted(pools))} was ever heard)" if pools else ""
