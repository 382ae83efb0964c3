"""A seat: a number of GPUs on one node held by one attempt; which devices is the engine's choice."""

import msgspec


class Seat(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`gpus` GPUs of `node`."""

    node: str
    gpus: int
