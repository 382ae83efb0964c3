"""Tags of what people change, so that a change can be made on what its asker saw and nothing else.

A tag is of what people decide about a thing and of where it stands, not of what follows from time
or from the market: the price and the spend of a workload may go on, and its tag stays. Tags are
compared within the turn that decides the change, so nothing comes between.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeGuard

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


def _cap(cap: Cap | None) -> tuple[object, ...] | None:
    """What was decided of a cap, without what was told of it."""
    if cap is None:
        return None
    return (cap.micros, cap.period, cap.most_gpus, cap.since_us, cap.by_operator)


class Thing(NamedTuple):
    """A thing that people change. `routes`: those that show it; its changes are the routes below
    these. `now`: it as it stands, None where it is gone. `seen`: what its tag stands for. `made`:
    the commands that make one, each with the event that tells of it, and its field there."""

    record: type[Tagged]
    routes: tuple[str, ...]
    now: Callable[[World, Any], Tagged | None]
    seen: Callable[[World, Any], tuple[object, ...]]
    made: tuple[tuple[type[commands.AnyCommand], type[events.AnyEvent], str], ...] = ()


def _workload(_: World, it: Workload) -> tuple[object, ...]:
    return (it.workload, it.phase, it.spec, it.generation, it.array)


def _reservation(world: World, it: Reservation) -> tuple[object, ...]:
    """Cost grows with all claims."""
    claims = world.records.claims.values()
    own = sorted(each.claim for each in claims if each.reservation == it.reservation)
    return (it.reservation, it.state, it.window, it.shape, it.lending, own)


def _claim(_: World, it: Claim) -> tuple[object, ...]:
    return (it.claim, it.reservation, it.nodes)


def _org(_: World, it: Org) -> tuple[object, ...]:
    grant = it.grant and (it.grant.micros, it.grant.every_us)
    return (
        *(it.org, grant, it.disabled_us, it.deleted_us),
        *(_cap(it.cap), it.bounds, it.title, it.contact),
    )


def _user(_: World, it: User) -> tuple[object, ...]:
    return (it.user, it.role, it.unix_name, _cap(it.cap), it.is_disabled, it.deleted_us)


def _token(_: World, it: Token) -> tuple[object, ...]:
    return (it.token, it.user, it.is_revoked, it.pool, it.expires_us)


def _pool(world: World, it: Pool) -> tuple[object, ...]:
    """Cost grows with all nodes."""
    nodes = [each.node for each in world.records.nodes.values() if each.pool == it.pool]
    return (it.pool, it.engine, it.supplier, it.fence, nodes)


def _node(_: World, it: Node) -> tuple[object, ...]:
    where = (it.node, it.pool, it.market, it.fabric)
    return (*where, it.health, it.cordons, it.draining_us)


def _market(_: World, it: Market) -> tuple[object, ...]:
    return (it.market, it.terms, it.announced)


def _whole(_: World, it: Tagged) -> tuple[object, ...]:
    return (it,)


THINGS = (
    Thing(
        Workload,
        ("/v1/workloads/{workload}",),
        lambda world, it: world.records.workloads.get(it.workload),
        _workload,
        ((commands.Submit, events.Submitted, "workload"),),
    ),
    Thing(
        Reservation,
        ("/v1/reservations/{reservation}",),
        lambda world, it: world.records.reservations.get(it.reservation),
        _reservation,
        (
            (commands.Reserve, events.Reserved, "reservation"),
            (commands.SplitReservation, events.ReservationDivided, "part"),
        ),
    ),
    Thing(
        Claim,
        ("/v1/claims/{claim}",),
        lambda world, it: world.records.claims.get(it.claim),
        _claim,
        ((commands.MakeClaim, events.Claimed, "claim"),),
    ),
    Thing(
        Org,
        ("/v1/orgs/{org}",),
        lambda world, it: world.records.orgs.get(it.org),
        _org,
        ((commands.CreateOrg, events.OrgCreated, "org"),),
    ),
    Thing(
        User,
        ("/v1/users/{user}",),
        lambda world, it: world.records.users.get(it.user),
        _user,
        ((commands.CreateUser, events.UserCreated, "user"),),
    ),
    Thing(
        Token,
        ("/v1/tokens/{token}",),
        lambda world, it: world.records.tokens.get(it.token),
        _token,
        ((commands.AddToken, events.TokenAdded, "token"),),
    ),
    Thing(
        Pool,
        ("/v1/pools/{pool}",),
        lambda world, it: world.records.pools.get(it.pool),
        _pool,
        ((commands.OpenPool, events.PoolOpened, "pool"),),
    ),
    Thing(Node, ("/v1/nodes/{node}",), lambda world, it: world.node(it.node), _node),
    Thing(
        Maintenance,
        ("/v1/maintenance/{maintenance}",),
        lambda world, it: world.records.maintenance.get(it.maintenance),
        _whole,
        ((commands.ScheduleMaintenance, events.MaintenanceScheduled, "maintenance"),),
    ),
    Thing(
        Market,
        ("/v1/markets/{market}", "/v1/prices/{market}"),
        lambda world, it: world.records.markets.get(it.market),
        _market,
    ),
    Thing(Automation, ("/v1/mars",), lambda world, _: world.records.automation, _whole),
)
"""All that the journal keeps; a price sheet is changed by a POST of its own route."""

TAGGED = (*(route for it in THINGS for route in it.routes), "/v1/receivers/{receiver}")
"""The routes of things with tags; receivers lie beside the journal."""

_BY_RECORD = {it.record: it for it in THINGS}
_MADE = {command: (event, field) for it in THINGS for command, event, field in it.made}
_encode = msgspec.json.Encoder(order="deterministic").encode


def takes_tag(path: str) -> bool:
    """Whether a change by this route takes `If-Match`; plans are no change. `path` as its router
    writes it, with or without `/v1`."""
    whole = path if path.startswith("/v1/") else f"/v1{path}"
    below = any(whole == it or whole.startswith(f"{it}/") for it in TAGGED)
    return below and whole not in OF_AGENTS


def etag(world: World, record: Tagged) -> str:
    """As it stands in the header `ETag`. It is the same on every server of the journal."""
    return digest(_BY_RECORD[type(record)].seen(world, record))


def after(
    world: World, command: commands.AnyCommand, made: Iterable[events.AnyEvent], found: object
) -> str | None:
    """The tag of what the answer to a command shows, in the world after it: the thing that it made,
    else what was `found` before it. None where that is gone, or has no tag."""
    kind, field = _MADE.get(type(command), (None, ""))
    if kind is not None:
        found = next((getattr(event, field) for event in made if isinstance(event, kind)), None)
    present = _BY_RECORD[type(found)].now(world, found) if _is_tagged(found) else None
    return None if present is None else etag(world, present)


def _is_tagged(found: object) -> TypeGuard[Tagged]:
    return isinstance(found, Tagged)


def digest(seen: object) -> str:
    """The tag of what is seen."""
    return f'"{hashlib.sha256(_encode(seen)).hexdigest()[:24]}"'


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
