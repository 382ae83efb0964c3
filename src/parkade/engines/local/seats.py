"""Chooses devices and a port for a launch, among what live attempts leave free.

Pure but for probing whether a port is in use.
"""

import errno
import socket
import zlib
from collections.abc import Iterable, Mapping, Sequence

from parkade.engines.local.records import VERSION, Launch, OrderedRank, Ranks
from parkade.ports import DesiredAttempt, Transient

FIRST_PORT = 20_000
PORTS = 12_000
"""Below Linux's ephemeral range (32768 and up), so that no outgoing connection takes one."""


def choose_devices(
    attempt: DesiredAttempt, carved: Mapping[str, Sequence[int]], live: Iterable[Launch]
) -> tuple[tuple[int, ...], ...]:
    """For each rank the first free device indexes of its node; `carved` are those of each node.

    Raises Transient while others still hold what it needs.
    """
    held = held_devices(live)
    free = {
        node: [index for index in devices if index not in held] for node, devices in carved.items()
    }
    chosen = []
    for rank in attempt.ranks:
        left = free.get(rank.node, [])
        if len(left) < rank.gpus:
            raise Transient(
                f"node {rank.node} has {len(left)} free GPUs of the {rank.gpus} that attempt "
                f"{attempt.attempt} needs; launch again once others were released"
            )
        chosen.append(tuple(left[: rank.gpus]))
        free[rank.node] = left[rank.gpus :]
    return tuple(chosen)


def choose_ranks(
    attempt: DesiredAttempt,
    known: Ranks,
    carved: Mapping[str, Sequence[int]],
    live: Iterable[Launch],
) -> Ranks:
    """The ranks that a live attempt shall have: those that are known keep their devices, others get
    the first free ones. One is left out while those are held, also by a rank that leaves; the
    count of changes then stays as it was."""
    held = held_devices(live)
    devices = {(one.rank, one.since): one.devices for one in known.ranks}
    ranks = []
    for wanted in attempt.members:
        chosen = devices.get((wanted.rank, wanted.since))
        if chosen is None and wanted.stop is not None:
            # It was to leave before it had any, so it waits for none and is gone at once.
            chosen = ()
        if chosen is None:
            free = [it for it in carved.get(wanted.seat.node, ()) if it not in held]
            if len(free) < wanted.seat.gpus:
                continue
            chosen = tuple(free[: wanted.seat.gpus])
            held.update(chosen)
        ranks.append(
            OrderedRank(
                rank=wanted.rank,
                since=wanted.since,
                seat=wanted.seat,
                devices=chosen,
                stop=wanted.stop,
            )
        )
    is_whole = len(ranks) == len(attempt.members)
    return Ranks(
        version=VERSION,
        resizes=attempt.resizes if is_whole else known.resizes,
        ordered=attempt.resizes,
        ranks=tuple(ranks),
    )


def left_out(attempt: DesiredAttempt, ranks: Ranks) -> tuple[str, ...]:
    """The ranks that found no devices, each with its node."""
    chosen = {(it.rank, it.since) for it in ranks.ranks}
    return tuple(
        f"{it.rank} on {it.seat.node}"
        for it in attempt.members
        if (it.rank, it.since) not in chosen
    )


def held_devices(live: Iterable[Launch]) -> set[int]:
    """All that live attempts hold, also on nodes that are no more."""
    return {index for one in live for devices in one.devices for index in devices}


def choose_port(attempt: str, live: Iterable[Launch]) -> int:
    """A loopback port that no live attempt has and no process listens on."""
    taken = {other.master_port for other in live}
    start = zlib.crc32(attempt.encode())
    for step in range(PORTS):
        port = FIRST_PORT + (start + step) % PORTS
        if port not in taken and _is_free(port):
            return port
    raise Transient(f"no free port between {FIRST_PORT} and {FIRST_PORT + PORTS}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
