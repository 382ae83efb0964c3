"""Seats: which GPUs of a node they are is the engine's choice, read back and recorded."""

import msgspec


class Seat(msgspec.Struct, frozen=True, kw_only=True, order=True, gc=False):
    """`gpus` GPUs of `node`."""

    node: str
    gpus: int


def by_node(seats: tuple[Seat, ...]) -> tuple[Seat, ...]:
    """The GPUs of each node together, in the order in which the nodes first come."""
    if len(seats) <= 1:
        return seats
    held: dict[str, int] = {}
    for seat in seats:
        held[seat.node] = held.get(seat.node, 0) + seat.gpus
    return tuple(Seat(node=node, gpus=gpus) for node, gpus in held.items())
