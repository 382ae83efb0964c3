"""A dry run: the workloads that a change of a limit, an offer or a price sheet tells to leave.

The market is cleared twice, as it is and as it would be with the change, and nothing is changed.
Who gets its notice only with the change leaves by it. `plan` does the same for what is not
submitted yet. Cost: two clearings.
"""

import copy

import msgspec
from msgspec.structs import replace

from parkade.core.clearing.entries import cleared_dry
from parkade.core.clearing.linking import linked_with
from parkade.core.clearing.plan import noticed
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.choices import with_limit_in
from parkade.core.workloads.workload import Workload


class Effect(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a change comes to in the next clearing, were it run now."""

    market: str

    leaves: tuple[Workload, ...]
    """Those that would get their notice by it, in order of creation."""

    lent: dict[str, int]
    """By reservation, the nodes on which guests sit without the change."""


def effect(world: World, changed: tuple[events.AnyEvent, ...], market: str, now_us: int) -> Effect:
    """Of what `decide` says of a command: new limits, offers and price sheets; other events are
    passed over."""
    then = _with(world, changed)
    markets = linked_with(world, market)
    before = cleared_dry(world, markets, now_us).together
    after = cleared_dry(then, markets, now_us).together
    leaves = noticed(world, after.lines()) - noticed(world, before.lines())
    return Effect(
        market=market,
        leaves=tuple(world.records.workloads[it] for it in world.live if it in leaves),
        lent={it.reservation: it.lent for it in before.parts[market].outcome.reservations},
    )


def _with(world: World, changed: tuple[events.AnyEvent, ...]) -> World:
    """The world to be read with other records of what changed; it shares the rest, and must not be
    changed."""
    records = world.records
    workloads, reservations = dict(records.workloads), dict(records.reservations)
    markets = dict(records.markets)
    for event in changed:
        match event:
            case events.BidChanged(workload=name, limit_price_micros=limit):
                spec = with_limit_in(workloads[name], event.market, limit)
                workloads[name] = replace(workloads[name], spec=spec)
            case events.LendingSet(reservation=name, lending=lending):
                reservations[name] = replace(reservations[name], lending=lending)
            case events.PricesSet(market=name):
                terms = replace(
                    markets[name].terms,
                    pay_as_you_go_micros=event.pay_as_you_go_micros,
                    public_floor_micros=event.public_floor_micros,
                )
                markets[name] = replace(markets[name], terms=terms)
            case _:
                pass
    then = copy.copy(world)
    then.records = replace(records, workloads=workloads, reservations=reservations, markets=markets)
    return then
