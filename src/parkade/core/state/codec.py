"""Events and snapshots as bytes: JSON, tagged and versioned, readable for ever.

The journal keeps the version beside each event; old ones are lifted on reading, never edited.
"""

import msgspec

from parkade.core.state import events
from parkade.core.state.lift import lift
from parkade.core.state.world import SNAPSHOT_VERSION, Records, World

_encoder = msgspec.json.Encoder()
_event_decoder: msgspec.json.Decoder[events.AnyEvent] = msgspec.json.Decoder(events.AnyEvent)
_snapshot_decoder = msgspec.json.Decoder(Records)


class _Version(msgspec.Struct):
    """What every version of a snapshot begins with."""

    version: int


def encode_event(event: events.AnyEvent) -> bytes:
    """One event as JSON with its type."""
    return _encoder.encode(event)


def decode_event(body: bytes, version: int = events.EVENT_VERSION) -> events.AnyEvent:
    """The event of a journal row; ValueError where the version is newer than this program."""
    if version > events.EVENT_VERSION:
        raise ValueError(
            f"event version {version} was written by a newer Parkade; install that one"
        )
    if version < events.EVENT_VERSION:
        lifted: events.AnyEvent = msgspec.convert(
            lift(msgspec.json.decode(body), version), events.AnyEvent
        )
        return lifted
    return _event_decoder.decode(body)


def encode_snapshot(world: World) -> bytes:
    """All records; equal worlds give equal bytes."""
    return _encoder.encode(world.records)


def decode_snapshot(body: bytes) -> World:
    """The world of a snapshot, its indexes rebuilt; ValueError where it is of another version: a
    snapshot only saves time, and the journal tells the same."""
    version = msgspec.json.decode(body, type=_Version).version
    if version != SNAPSHOT_VERSION:
        raise ValueError(f"snapshot version {version} is not {SNAPSHOT_VERSION}")
    records = _snapshot_decoder.decode(body)
    return World(records)
