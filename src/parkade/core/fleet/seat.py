"""Seats: which GPUs of a node they are is the engine's choice, read back and recorded."""

import msgspec


class Seat(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`gpus` GPUs of `node`."""

    node: str
    gpus: int
