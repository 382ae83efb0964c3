"""Which work a cap stops: the bids with seats that the next clearings leave out for it.

It asks `earmarks`, as a clearing does. Bids with seats are asked before all others, so the rest of
a market need not be looked at. On-demand and reserved work is never stopped by a cap, nor is an
elastic bid that can go on with fewer nodes. Each market is asked as if the others stopped nothing:
where work of several markets is charged to one cap, fewer may have to leave.
"""

import copy

from msgspec.structs import replace

from parkade.core.clearing.earmarks import set_aside
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.holdings import is_standing
from parkade.core.workloads.life import Why
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload

OF_USERS = frozenset({Why.USER_CAP.value, Why.USER_GPUS.value})
OF_ORGS = frozenset({Why.ORG_CAP.value, Why.ORG_GPUS.value})


def stopped_by_change(world: World, change: events.AnyEvent, now_us: int) -> tuple[str, ...]:
    """The same of a cap as `decide` would set it; nothing is changed."""
    assert isinstance(change, events.CapSet | events.OrgCapSet)
    then, records = copy.copy(world), world.records
    match change:
        case events.CapSet(user=name):
            user = replace(records.users[name], cap=change.cap)
            then.records = replace(records, users={**records.users, name: user})
            return stopped_by_caps(then, user.org, name, now_us)
        case events.OrgCapSet(org=name):
            org = replace(records.orgs[name], cap=change.cap)
            then.records = replace(records, orgs={**records.orgs, name: org})
            return stopped_by_caps(then, name, None, now_us)


def stopped_by_caps(world: World, org: str, user: str | None, now_us: int) -> tuple[str, ...]:
    """The workloads that the cap of a user, or without one of the org, stops; in each market those
    first that are asked first. Cost grows with the org's live workloads, in each of its markets."""
    bids: dict[str, list[Workload]] = {}
    for name in world.live_of_org.get(org, {}):
        workload = world.records.workloads[name]
        if workload.spec.capacity.kind is CapacityKind.SPOT and is_standing(workload):
            bids.setdefault(workload.bids_in, []).append(workload)
    reasons = OF_ORGS if user is None else OF_USERS
    found: list[str] = []
    for market in sorted(bids):
        left_out = set_aside(world, bids[market], now_us).excluded
        found += [
            name
            for name, why in left_out.items()
            if why in reasons and user in (None, world.records.workloads[name].user)
        ]
    return tuple(found)
