"""Events and snapshots as bytes: JSON, tagged and versioned, readable for ever.

The journal keeps the version beside each event; old ones are lifted on reading, never edited.
"""

from functools import reduce
from operator import or_
from typing import Any

import msgspec

from parkade.core.world import events as happened
from parkade.core.world.evolve import EFFECTS
from parkade.core.world.world import SNAPSHOT_VERSION, Records, World

_encoder = msgspec.json.Encoder()
_event_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(reduce(or_, EFFECTS))
_snapshot_decoder = msgspec.json.Decoder(Records)


def encode_event(event: happened.Event) -> bytes:
    """One event as JSON with its type."""
    return _encoder.encode(event)


def decode_event(body: bytes, version: int = happened.EVENT_VERSION) -> happened.Event:
    """The event of a journal row; ValueError where the version is newer than this program."""
    if version > happened.EVENT_VERSION:
        raise ValueError(
            f"event version {version} was written by a newer Parkade; install that one"
        )
    event: happened.Event = _event_decoder.decode(body)
    return event


def encode_snapshot(world: World) -> bytes:
    """All records; equal worlds give equal bytes."""
    return _encoder.encode(world.records)


def decode_snapshot(body: bytes) -> World:
    """The world of a snapshot, its indexes rebuilt; ValueError where it is a newer version."""
    records = _snapshot_decoder.decode(body)
    if records.version > SNAPSHOT_VERSION:
        raise ValueError(
            f"snapshot version {records.version} was written by a newer Parkade; install that one"
        )
    return World(records)
