"""Tags of what people change, so that a change can be made on what its asker saw and nothing else.

A tag is of what people decide about a thing and of where it stands, not of what follows from time
or from the market: the price and the spend of a workload may go on, and its tag stays. Tags are
compared within the turn that decides the change, so nothing comes between.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TypeGuard

import msgspec

from parkade.core.fleet.maintenance import Maintenance
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Node
from parkade.core.fleet.pool import Pool
from parkade.core.healing.incident import Automation
from parkade.core.reservations.reservation import Claim, Reservation
from parkade.core.state import commands, events
from parkade.core.state.people import Cap, Org, Token, User
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.workload import Workload

LONGEST = 255
TAGGED = (
    "/v1/workloads/{workload}",
    "/v1/reservations/{reservation}",
    "/v1/claims/{claim}",
    "/v1/orgs/{org}",
    "/v1/users/{user}",
    "/v1/tokens/{token}",
    "/v1/receivers/{receiver}",
    "/v1/pools/{pool}",
    "/v1/nodes/{node}",
    "/v1/maintenance/{maintenance}",
    "/v1/markets/{market}",
    "/v1/prices/{market}",
    "/v1/mars",
)
"""The things with tags, by the routes that show them; their changes are the routes below these, and
for a price sheet a POST of itself."""

OF_AGENTS = frozenset(
    f"/v1/pools/{{pool}}/{it}"
    for it in (
        *("observation", "health", "folders", "log-chunks/{log_request}"),
        "execs/{session}/output",
    )
)
"""Reports of agents, which change no decision of a person: they have orders of their own."""

Tagged = (
    Workload
    | Reservation
    | Claim
    | Org
    | User
    | Token
    | Pool
    | Node
    | Maintenance
    | Market
    | Automation
)

_MAKES: Mapping[type[commands.AnyCommand], tuple[type[events.AnyEvent], str]] = {
    commands.Submit: (events.Submitted, "workload"),
    commands.Reserve: (events.Reserved, "reservation"),
    commands.SplitReservation: (events.ReservationDivided, "part"),
    commands.MakeClaim: (events.Claimed, "claim"),
    commands.CreateOrg: (events.OrgCreated, "org"),
    commands.CreateUser: (events.UserCreated, "user"),
    commands.AddToken: (events.TokenAdded, "token"),
    commands.OpenPool: (events.PoolOpened, "pool"),
    commands.ScheduleMaintenance: (events.MaintenanceScheduled, "maintenance"),
}
"""Commands that make a thing, with the event that tells of it, and its field there."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def takes_tag(path: str) -> bool:
    """Whether a change by this route takes `If-Match`; plans are no change. `path` as its router
    writes it, with or without `/v1`."""
    whole = path if path.startswith("/v1/") else f"/v1{path}"
    below = any(whole == it or whole.startswith(f"{it}/") for it in TAGGED)
    return below and whole not in OF_AGENTS


def etag(world: World, record: Tagged) -> str:
    """As it stands in the header `ETag`. It is the same on every server of the journal."""
    return digest(_seen(world, record))


def after(
    world: World, command: commands.AnyCommand, made: Iterable[events.AnyEvent], found: object
) -> str | None:
    """The tag of what the answer to a command shows, in the world after it: the thing that it made,
    else what was `found` before it. None where that is gone, or has no tag."""
    kind, field = _MAKES.get(type(command), (None, ""))
    if kind is not None:
        found = next((getattr(event, field) for event in made if isinstance(event, kind)), None)
    present = _now(world, found) if _is_tagged(found) else None
    return None if present is None else etag(world, present)


def _is_tagged(found: object) -> TypeGuard[Tagged]:
    return isinstance(found, Tagged)


def _now(world: World, record: Tagged) -> Tagged | None:
    """The record of the same thing as it stands; None: it is gone."""
    records = world.records
    match record:
        case Workload():
            return records.workloads.get(record.workload)
        case Reservation():
            return records.reservations.get(record.reservation)
        case Claim():
            return records.claims.get(record.claim)
        case Org():
            return records.orgs.get(record.org)
        case User():
            return records.users.get(record.user)
        case Token():
            return records.tokens.get(record.token)
        case Pool():
            return records.pools.get(record.pool)
        case Node():
            return world.node(record.node)
        case Maintenance():
            return records.maintenance.get(record.maintenance)
        case Market():
            return records.markets.get(record.market)
        case Automation():
            return records.automation


def digest(seen: object) -> str:
    """The tag of what is seen."""
    return f'"{hashlib.sha256(_encode(seen)).hexdigest()[:24]}"'


def _seen(world: World, record: Tagged) -> tuple[object, ...]:
    """What the tag stands for. A reservation's cost grows with all claims, a pool's with all
    nodes."""
    match record:
        case Workload():
            return (
                *(record.workload, record.phase, record.spec, record.generation),
                record.array,
            )
        case Reservation():
            claims = sorted(
                it.claim
                for it in world.records.claims.values()
                if it.reservation == record.reservation
            )
            return (
                *(record.reservation, record.state, record.window, record.shape),
                *(record.lending, claims),
            )
        case Claim():
            return (record.claim, record.reservation, record.nodes)
        case Org():
            grant = record.grant and (record.grant.micros, record.grant.every_us)
            return (
                *(record.org, grant, record.disabled_us, record.deleted_us),
                *(_cap(record.cap), record.bounds, record.title, record.contact),
            )
        case User():
            return (
                *(record.user, record.role, record.unix_name, _cap(record.cap)),
                *(record.is_disabled, record.deleted_us),
            )
        case Token():
            return (record.token, record.user, record.is_revoked, record.pool, record.expires_us)
        case Pool():
            nodes = [it.node for it in world.records.nodes.values() if it.pool == record.pool]
            return (record.pool, record.engine, record.supplier, record.fence, nodes)
        case Node():
            return (
                *(record.node, record.pool, record.market, record.fabric, record.health),
                *(record.cordons, record.draining_us),
            )
        case Maintenance():
            return (record,)
        case Market():
            return (record.market, record.terms, record.announced)
        case Automation():
            return (record,)


def _cap(cap: Cap | None) -> tuple[object, ...] | None:
    """What was decided of a cap, without what was told of it."""
    if cap is None:
        return None
    return (cap.micros, cap.period, cap.most_gpus, cap.since_us, cap.by_operator)


def refused(world: World, record: object, wanted: str) -> Refusal | None:
    """The refusal where `If-Match` names no tag of the record, or there is no record that its asker
    may see."""
    if not isinstance(record, Tagged):
        detail = "If-Match: there is no such thing any more, or it is not yours"
        return Refusal(reason=Reason.NOT_FOUND, detail=detail, field="If-Match")
    return unmatched(etag(world, record), wanted)


def unmatched(present: str, wanted: str) -> Refusal | None:
    """The refusal where `If-Match` does not name the tag of now."""
    if wanted.strip() == "*" or present in (each.strip() for each in wanted.split(",")):
        return None
    detail = (
        "it was changed since you read it: read it again, look whether you still want the change,"
        " and send it with the new ETag as If-Match"
    )
    return Refusal(reason=Reason.CHANGED, detail=detail, field="If-Match")
