"""Clients that do next to nothing themselves: each keeps its connection and sends the same bytes.
A process of its own.

    python -m benchmarks.keep_alive PORT CLIENTS SECONDS [RATE] < request

Without RATE each sends as soon as the answer to its last is whole. With it RATE requests a second
are due in all, whatever the server does, and a latency counts from when its request was due. Prints
JSON: `seconds`, and the `latencies` of all answers in seconds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Iterator

CREATED = b"HTTP/1.1 201"


def at_once(until: float) -> Iterator[float]:
    """The instants at which a client may send that waits for nothing but its answers."""
    while (now := time.perf_counter()) < until:
        yield now


def at_rate(rate: float, seconds: float) -> Iterator[float]:
    """The instants at which requests are due."""
    began = time.perf_counter()
    return (began + number / rate for number in range(round(rate * seconds)))


async def one(port: int, request: bytes, instants: Iterable[float]) -> list[float]:
    """Latencies of one client; SystemExit where an answer is no 201."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for due in instants:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(length(head))
        if not head.startswith(CREATED):
            raise SystemExit(f"{head.decode()}{body.decode()[:300]}")
        found.append(time.perf_counter() - due)
    writer.close()
    return found


def length(head: bytes) -> int:
    """Of the body behind a head."""
    fields = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return next(int(value) for name, _, value in fields if name.lower() == b"content-length")


async def all_of(port: int, request: bytes, clients: int, seconds: float, rate: float) -> None:
    """Prints what they did."""
    began = time.perf_counter()
    until = began + seconds
    # One iterator for all: whichever client is free takes the next.
    due = at_rate(rate, seconds)
    instants = (due if rate else at_once(until) for _ in range(clients))
    several = (one(port, request, each) for each in instants)
    latencies = [each for found in await asyncio.gather(*several) for each in found]
    print(json.dumps({"seconds": time.perf_counter() - began, "latencies": latencies}))


def main() -> None:
    """See the module."""
    port, clients, seconds, *rate = sys.argv[1:]
    request = sys.stdin.buffer.read()
    wanted = float(*rate)  # 0 where none is given
    asyncio.run(all_of(int(port), request, int(clients), float(seconds), wanted))


if __name__ == "__main__":
    main()
