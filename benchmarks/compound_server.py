"""An OpenAI-compatible server without a model: answers at once, for measuring clients.

    python benchmarks/compound_server.py [--port 0] [--latency-ms 0]

Raw asyncio protocol, so that one core answers more than any client asks. Prints its URL, ends when
its standard input is closed.
"""

import argparse
import asyncio
import sys
from typing import Any

ANSWER = (
    b'{"id":"chatcmpl-0","object":"chat.completion","created":1700000000,"model":"mock",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"The answer is 42, which is '
    b'six times seven, as the reader may check without a machine."},"logprobs":null,'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":30,"completion_tokens":21,'
    b'"total_tokens":51}}'
)
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER,
)


class Server(asyncio.Protocol):
    """One connection; requests may come in pieces."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.buffer = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            if self.latency_s:
                asyncio.get_running_loop().call_later(self.latency_s, self.answer)
            else:
                self.answer()

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(REPLY)


async def serve(port: int, latency_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(latency_s), "127.0.0.1", port, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    given = parser.parse_args()
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(given.port, given.latency_ms / 1e3))


if __name__ == "__main__":
    main()
