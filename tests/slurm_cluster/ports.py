"""Ports of loopback that are free now, below those that outgoing connections take."""

import random
import socket

FIRST, LAST = 10_000, 19_500
TRIES = 1_000

_chance = random.SystemRandom()


def free_port() -> int:
    """One port."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """That many ports, all different."""
    found: list[int] = []
    for _ in range(TRIES + count):
        port = _chance.randrange(FIRST, LAST)
        if port not in found and _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"no {count} free ports between {FIRST} and {LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
