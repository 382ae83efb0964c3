"""A small OpenAI-compatible server for tests: answers what a script says, byte by byte if asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

Script = Callable[["Asked"], Awaitable[bytes | None]]


class Asked:
    """One request."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes, number: int) -> None:
        self.path = path
        self.headers = headers
        self.raw = body
        self.body: dict[str, Any] = msgspec.json.decode(body)
        self.number = number


class ScriptedServer:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.closed_early = asyncio.Event()
        self.url = ""
        self.piece: int | None = None
        self._arrived = asyncio.Condition()

    async def reached(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.asked) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (h.partition(":") for h in head[1:])
        }
        body = await reader.readexactly(int(headers["content-length"]))
        asked = Asked(head[0].split(" ")[1], headers, body, len(self.asked))
        self.asked.append(asked)
        async with self._arrived:
            self._arrived.notify_all()
        answering = asyncio.ensure_future(self.script(asked))
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            self.closed_early.set()
            answering.cancel()
            return False
        reply = answering.result()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        if reply is None:
            return False
        for place in range(0, len(reply), self.piece or len(reply)):
            writer.write(reply[place : place + (self.piece or len(reply))])
            await writer.drain()
            if self.piece:
                await asyncio.sleep(0)
        return b"connection: close" not in reply.lower()


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer(script)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()


def completion(
    text: str, *, usage: tuple[int, int] | None = (5, 7), **message: Any
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": "c",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
    }
    if usage is not None:
        told["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return told


def reply(told: Any, status: int = 200, *, headers: str = "", chunks: int | None = None) -> bytes:
    """A response; `chunks` sends the body in pieces of that size."""
    body = told if isinstance(told, bytes) else msgspec.json.encode(told)
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}"
    if chunks is None:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    pieces = [body[place : place + chunks] for place in range(0, len(body), chunks)]
    framed = b"".join(b"%x;x=y\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + framed + b"0\r\nA: b\r\n\r\n"
