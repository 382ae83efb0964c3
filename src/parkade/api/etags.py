"""Tags of what people change, so that a change can be made on what its asker saw and nothing else.

A tag is of what people decide about a thing and of where it stands, not of what follows from time
or from the market: the price and the spend of a workload may go on, and its tag stays. Tags are
compared within the turn that decides the change, so nothing comes between.
"""

import hashlib

import msgspec

from parkade.core.reservations.reservation import Reservation
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.workload import Workload

LONGEST = 255
TAGGED = "/v1/workloads/{workload}", "/v1/reservations/{reservation}"
"""The things with tags, by the routes that show them; their changes are the routes below these."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def etag(world: World, record: Workload | Reservation) -> str:
    """As it stands in the header `ETag`. It is the same on every server of the journal."""
    match record:
        case Workload():
            seen: tuple[object, ...] = (
                record.workload,
                record.phase,
                record.spec,
                record.generation,
                record.array,
            )
        case Reservation():
            claims = sorted(
                it.claim
                for it in world.records.claims.values()
                if it.reservation == record.reservation
            )
            seen = (
                record.reservation,
                record.state,
                record.window,
                record.shape,
                record.lending,
                claims,
            )
    return f'"{hashlib.sha256(_encode(seen)).hexdigest()[:24]}"'


def refused(world: World, record: object, wanted: str) -> Refusal | None:
    """The refusal where `If-Match` names no tag of the record, or the record has none."""
    if not isinstance(record, Workload | Reservation):
        detail = "If-Match: only changes of one workload or reservation take it"
        return Refusal(reason=Reason.INVALID, detail=detail, field="If-Match")
    present = etag(world, record)
    if wanted.strip() == "*" or present in (each.strip() for each in wanted.split(",")):
        return None
    name = record.workload if isinstance(record, Workload) else record.reservation
    detail = f"{name} was changed since it was read; look at it again, and send its new ETag"
    return Refusal(reason=Reason.CHANGED, detail=detail, field="If-Match")
