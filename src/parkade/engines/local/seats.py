"""Chooses devices and a port for a launch, among what live attempts leave free.

Pure but for probing whether a port is in use.
"""

import errno
import socket
import zlib
from collections.abc import Iterable, Mapping, Sequence

from parkade.engines.local.records import Launch
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
