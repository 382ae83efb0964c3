"""Which seats of a promise are idle while work that it waits for leaves the others.

The rule is told in `clearing.own_waits`, which says what a promise waits for. Here the end of each
attempt is noted: what it held may be idle from then on, and with the last one the wait is over.
"""

from msgspec.structs import replace

from parkade.core.fleet.seat import Seat, by_node
from parkade.core.running.promises import bids, has_room
from parkade.core.state.world import World
from parkade.core.workloads.workload import OwnWait, Promise, Workload


def idle_gpus(world: World, workload: Workload, promise: Promise) -> int:
    """GPUs of promised seats that nothing else holds; not those that its attempt holds itself."""
    name, org, attempt = workload.workload, workload.org, workload.attempt
    own = set() if attempt is None else {seat.node for seat in attempt.seats}
    is_spot = bids(world, name)
    return sum(
        seat.gpus
        for seat in by_node(promise.seats)
        if seat.node not in own and has_room(world, org, seat, is_spot=is_spot, besides=name)
    )


def note_gone(world: World, gone: str, seats: tuple[Seat, ...], at_us: int) -> None:
    """An attempt has left these seats: promises that wait for it or others hold more of theirs
    idle, or have waited. Cost grows with what is promised there."""
    holders = {gone: None}
    for seat in by_node(seats):
        holders.update(dict.fromkeys(world.promised_on[seat.node]))
    for name in holders:
        workload = world.records.workloads.get(name)
        promise = None if workload is None else workload.promise
        if workload is None or promise is None or promise.own_wait is None:
            continue
        wait = promise.own_wait
        if not wait.names:
            continue
        since_us = max(wait.since_us, at_us)
        names = tuple(it for it in wait.names if it != gone)
        after = OwnWait(
            names=names,
            gpus=idle_gpus(world, workload, promise) if names else 0,
            since_us=since_us,
            gpu_us=wait.held_gpu_us(since_us),
        )
        world.put_workload(replace(workload, promise=replace(promise, own_wait=after)))
