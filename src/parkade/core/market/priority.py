"""The priority order: which demand takes its turn before which, in exact integers.

A spot demand's *key* is limit x (1 + switching credit if it has seats) x the part of its nodes
that it takes, scaled by the credit's denominator and a node's GPUs, so that keys of one market
compare as whole numbers. Its *factor* turns a limit into a key.

Spot jobs below a node that run on one open node are ordered as one bid (`mates_of`). Its key is
that of the best of its prefixes: over the jobs by falling limit, limit x all GPUs so far. So a node
full of small jobs stands against a whole-node bid with what it pays together, and its jobs take
their turns one after the other. A job's price follows from how its limit bears on that key
(`limit_as_one`).

Example, 8 GPUs a node, credit 1/20. A newcomer of whole nodes with limit 10 has the key 10 x 20 x 8
= 1600; a running one with 9.6 has 9.6 x 21 x 8 = 1612.8 and goes first. A newcomer of 1 GPU with
limit 11 has 11 x 20 x 1 = 220, as a whole-node bid of 1.375. A running node with jobs of 3 GPUs at
10, 4 at 6 and 1 at 2 stands at max(10 x 3, 6 x 7, 2 x 8) x 21 = 42 x 21 = 882, as 5.51 for each GPU
(limits in micro-units in fact). Decision record 44 has the reasons and what a lie gains.
"""

from collections.abc import Mapping

from parkade.core.market.market_state import ClearingTerms, Demand, MarketState, PriorityTier
from parkade.core.units.money import ceil_div

WEIGHT_UNITS = 720_720
"""Units of a GPU in a factor: the least common multiple of 1 to 16. So the part of its nodes that
a gang takes is exact where it opens up to 16 of them, and rounded down by less than a unit else."""

Place = tuple[int | str, ...]
"""Where a demand stands within its tier: the least first."""

Mates = tuple[tuple[int, int], ...]
"""(limit, GPUs) of the other jobs of a shared node, the greatest limit first."""


def factor_of(demand: Demand, terms: ClearingTerms) -> int:
    """What one micro-unit of this demand's limit counts in its key, on its own."""
    weight = demand.nodes * demand.gpus * WEIGHT_UNITS // demand.nodes_alone
    return _credit_of(demand, terms) * weight


def newcomer_factor(terms: ClearingTerms, gpus: int) -> int:
    """The factor of a newcomer that takes `gpus` of each of its nodes."""
    return terms.switching_credit.denominator * gpus * WEIGHT_UNITS


def key_of(demand: Demand, terms: ClearingTerms, mates: Mates = ()) -> int:
    """The key of a spot demand, beside the jobs with which it shares a node."""
    assert demand.limit_micros is not None, "a spot demand without a limit"
    if not mates:
        return demand.limit_micros * factor_of(demand, terms)
    value = _value_as_one(((demand.limit_micros, demand.nodes * demand.gpus), *mates))
    return value * _credit_of(demand, terms) * WEIGHT_UNITS


def limit_as_one(value: int, gpus: int, mates: Mates) -> int:
    """The least limit with which a job of `gpus` makes its shared node worth `value`, a key less
    its credit, in micro-units x GPUs; 0 where its mates do without it.

    With limit l, at or below those of the first k mates, the node is worth at least l x (its GPUs
    and theirs). Grows with the mates.
    """
    if mates and _value_as_one(mates) >= value:
        return 0
    before = sum(others for _, others in mates)
    for limit, others in reversed(mates):
        least = ceil_div(value, before + gpus)
        if least <= limit:
            return least
        before -= others
    return ceil_div(value, gpus)


def _credit_of(demand: Demand, terms: ClearingTerms) -> int:
    credit = terms.switching_credit
    has_credit = bool(demand.seats) and not demand.gives_way
    return credit.denominator + (credit.numerator if has_credit else 0)


def _value_as_one(jobs: Mates) -> int:
    """The greatest limit x GPUs so far, over jobs by falling limit; micro-units x GPUs."""
    best = gpus_so_far = 0
    for limit, gpus in sorted(jobs, reverse=True):
        gpus_so_far += gpus
        best = max(best, limit * gpus_so_far)
    return best


def mates_of(state: MarketState) -> dict[str, tuple[str, Mates]]:
    """(node, the other jobs there) of each running spot job that shares an open node.

    A job is a demand with all its ranks on that node; a gang that stands on several counts for
    itself, and so does one that no bid pushes out.
    """
    open_nodes = {node.node for node in state.nodes if node.is_open}
    on_node: dict[str, list[Demand]] = {}
    for demand in state.demands:
        if not demand.seats or demand.gpus == state.gpus_per_node:
            continue
        if demand.tier is not PriorityTier.SPOT:
            continue
        if demand.protection is not None:
            continue
        nodes = {seat.node for seat in demand.seats}
        if len(nodes) == 1 and len(demand.seats) == demand.nodes and nodes <= open_nodes:
            on_node.setdefault(nodes.pop(), []).append(demand)
    found: dict[str, tuple[str, Mates]] = {}
    for node, jobs in on_node.items():
        for job in jobs if len(jobs) > 1 else ():
            others = [
                (it.limit_micros, it.nodes * it.gpus)
                for it in jobs
                if it is not job and it.limit_micros is not None
            ]
            found[job.demand] = (node, tuple(sorted(others, reverse=True)))
    return found


def in_priority_order(
    state: MarketState, sharing: Mapping[str, tuple[str, Mates]] | None = None
) -> tuple[Demand, ...]:
    """All demands, strongest first; `sharing`: as `mates_of`, where it is known.
    Grows with N log N of the demands.

    Tier by tier. RESERVED: what runs, or makes whole what runs, before what is idle, then the older
    reservation, then priority: an org's priority never bears on another org. ON_DEMAND: running
    first, whole gangs before gangs to be healed, because no on-demand displaces another. SPOT: the
    greatest key, then the one running, the org that used less in the last seven days, the older;
    the jobs of a shared node one after the other, the greatest limit first. Among equal keys
    `spot` lets the org go first that holds less so far. Of the places that an org's bids of equal
    key have among all others, those with more priority take the first (`_by_own_priority`).
    """
    credit = state.terms.switching_credit
    assert credit.numerator >= 0, "a running demand would count less than a newcomer"
    in_play = {node.node for node in state.nodes}
    created = {room.reservation: room.created_us for room in state.reservations}
    sharing = mates_of(state) if sharing is None else sharing
    oldest: dict[str, tuple[int, int]] = {}
    for demand in state.demands if sharing else ():
        if demand.demand in sharing:
            node = sharing[demand.demand][0]
            age = (demand.use_7_days, demand.submitted_us)
            oldest[node] = min(oldest.get(node, age), age)

    keys: dict[tuple[int, int, int, int | None], int] = {}

    def rank(demand: Demand) -> tuple[int, Place, str]:
        place: Place
        if demand.tier is PriorityTier.SPOT and not demand.seats:
            limit, since_us = demand.limit_micros, demand.submitted_us
            kind = (demand.nodes, demand.gpus, demand.ranks_per_node, limit)
            key = keys.get(kind)
            if key is None:
                key = keys[kind] = -key_of(demand, state.terms)
            waits, use = not demand.completes, demand.use_7_days
            place = (key, waits, use, since_us, "", -(limit or 0), since_us)
            return (demand.tier, place, demand.demand)
        newcomer = not demand.seats and not demand.completes
        if demand.tier is PriorityTier.RESERVED:
            reservation = demand.reservation or ""
            since = created.get(reservation, 0)
            place = (newcomer, since, reservation, -demand.priority, demand.submitted_us)
        elif demand.tier is PriorityTier.ON_DEMAND:
            is_broken = any(seat.node not in in_play for seat in demand.seats)
            place = (newcomer, is_broken, demand.submitted_us)
        else:
            node, mates = sharing.get(demand.demand, ("", ()))
            key = key_of(demand, state.terms, mates)
            age = oldest[node] if node else (demand.use_7_days, demand.submitted_us)
            place = (-key, newcomer, *age, node, -(demand.limit_micros or 0), demand.submitted_us)
        return (demand.tier, place, demand.demand)

    ordered = sorted(state.demands, key=rank)
    assert len({it.demand for it in ordered}) == len(ordered), "two demands share a name"
    if any(it.priority and it.tier is PriorityTier.SPOT for it in ordered):
        _by_own_priority(ordered, state.terms, sharing)
    return tuple(ordered)


def _by_own_priority(
    ordered: list[Demand], terms: ClearingTerms, sharing: Mapping[str, tuple[str, Mates]]
) -> None:
    """Within each org, the bids of equal key that run, and those that wait, take the same places by
    their priority. No place of another org changes. The jobs of a shared node stand as they do: its
    key is that of all together. Grows with N log N of the demands.
    """
    places: dict[tuple[str, int, bool], list[int]] = {}
    for at, demand in enumerate(ordered):
        if demand.tier is PriorityTier.SPOT and demand.demand not in sharing:
            rank = (demand.org, key_of(demand, terms), bool(demand.seats))
            places.setdefault(rank, []).append(at)
    for taken in places.values():
        if len(taken) > 1:
            own = sorted((ordered[at] for at in taken), key=lambda it: -it.priority)
            for at, demand in zip(taken, own, strict=True):
                ordered[at] = demand
