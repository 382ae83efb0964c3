"""Bids with several markets: which these are, and what such a bid may not ask for beside."""

from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.fleet.market import Market
from parkade.core.running.bidding import bad_bid, change_of_bid
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.capacity import the_market
from parkade.core.steps.refusals import Decision, invalid
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.choice import Choice
from parkade.core.workloads.choices import as_bid_in
from parkade.core.workloads.spec import CapacityKind, Spec
from parkade.core.workloads.workload import Workload


def with_markets(world: World, command: commands.Submit) -> Spec | Refusal:
    """The spec with the market of each entry of its list and the limit of the first; a spec without
    a list as it is. An entry is an instance type, a GPU model, or a market by name."""
    spec = command.spec
    if not spec.choices:
        return spec
    if (refusal := _bad_beside(spec)) is not None:
        return refusal
    if command.market is not None and spec.choices[0].market != command.market:
        return invalid("market", "a list of instance types names its markets; leave market out")
    found: list[Choice] = []
    for choice in spec.choices:
        market = _named(world, choice, spec)
        if isinstance(market, Refusal):
            detail = f"{choice.instance_type}: {market.detail}"
            return replace(market, detail=detail, field="instance_type")
        if any(it.market == market.market for it in found):
            detail = f"{choice.instance_type} is in {market.market}, which is in the list already"
            return invalid("instance_type", detail)
        found.append(replace(choice, market=market.market))
    first = found[0]
    return replace(
        spec,
        choices=tuple(found),
        instance_type=first.instance_type,
        limit_price_micros=first.limit_price_micros,
    )


def _named(world: World, choice: Choice, spec: Spec) -> Market | Refusal:
    """The market of an entry. Where none fits, the only one that has such nodes, which says better
    what does not fit."""
    name = choice.instance_type
    market_name = choice.market or (name if name in world.records.markets else None)
    market = the_market(
        world, market_name, instance_type=name, gpus=spec.gpus, storage=spec.storage
    )
    if isinstance(market, Refusal):
        market = the_market(world, market_name, instance_type=name)
    if isinstance(market, Refusal):
        return market
    kind = market.instance_type
    if name not in (market.market, kind.name, kind.gpu_model):
        detail = f"there are no such nodes; {market.market} has {kind.name!r}"
        return Refusal(reason=Reason.UNSUPPORTED, detail=detail, field="instance_type")
    return market


def _bad_beside(spec: Spec) -> Refusal | None:
    """What a list of instance types is not carried out with; the wire's model says it too."""
    if spec.capacity.kind is not CapacityKind.SPOT:
        what, field = "capacity: spot alone", "capacity"
    elif spec.is_elastic:
        what, field = "one number of nodes", "nodes"
    elif spec.deadline is not None:
        what, field = "no deadline", "deadline"
    else:
        return None
    return Refusal(
        reason=Reason.UNSUPPORTED,
        detail=f"several instance types need {what}; name one instance type, or submit several"
        " workloads",
        field=field,
    )


def change_of_list(
    world: World,
    workload: Workload,
    command: commands.ChangeBid,
    now_us: int,
    postings: Postings | None = None,
) -> Decision:
    """A new limit for one of its instance types, or for all where they had one limit. `postings`:
    those of the decision so far."""
    chosen = chosen_types(world, workload, command)
    if isinstance(chosen, Refusal):
        return chosen
    found: list[events.AnyEvent] = []
    postings = postings or Postings(world)
    for choice in chosen:
        there = as_bid_in(workload, choice.market)
        if choice.market != workload.market:
            # What it runs on, and leaves, is bid for elsewhere.
            there = replace(there, attempt=None)
        changed = change_of_bid(world, postings, there, command.limit_price_micros, now_us)
        if isinstance(changed, Refusal):
            return changed
        for event in changed:
            is_bid = isinstance(event, events.BidChanged)
            found.append(replace(event, market=choice.market) if is_bid else event)
    return tuple(found)


def chosen_types(
    world: World, workload: Workload, command: commands.ChangeBid
) -> tuple[Choice, ...] | Refusal:
    """Those of its instance types that a command means, at a limit that may be bid for each."""
    chosen = _chosen(workload, command.instance_type)
    for choice in () if isinstance(chosen, Refusal) else chosen:
        there = as_bid_in(workload, choice.market)
        market = world.records.markets[choice.market]
        if refusal := bad_bid(market, there.spec, command.limit_price_micros):
            return refusal
    return chosen


def _chosen(workload: Workload, instance_type: str | None) -> tuple[Choice, ...] | Refusal:
    choices = workload.spec.choices
    named = ", ".join(it.instance_type for it in choices)
    if instance_type is not None:
        chosen = tuple(it for it in choices if it.instance_type == instance_type)
        if not chosen:
            return invalid("instance_type", f"it bids for {named}; name one of these")
        return chosen
    if len({it.limit_price_micros for it in choices}) > 1:
        return invalid("instance_type", f"it has a limit for each of {named}; name one of these")
    return choices
