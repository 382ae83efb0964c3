"""The HTTP side of a served network: connections, limits, keys; h11 reads and writes the protocol.

Each connection is one task. A client that goes away cancels its question, and with it the calls in
flight. While a stream waits for the network, comments keep the connection alive.

At the end it listens no more, idle connections are closed, and answers in work have `grace_s`; what
is left then, or at `hurry`, is told 503, in a stream as its last event.
"""

import asyncio
import contextlib
import hmac
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import unquote

import h11
import msgspec

from parkade.compound.models.protocol import Failure, FailureKind
from parkade.compound.run.progressing import RunStopped
from parkade.compound.run.results import SERVED, Result
from parkade.compound.serve import protocol
from parkade.compound.serve.answering import Answering, CutShort, Failed
from parkade.compound.serve.metrics import CONTENT_TYPE, GONE, as_metrics
from parkade.compound.serve.protocol import ChatRequest, Refused, invalid, unavailable

MAX_BODY = 32 * 1024 * 1024
MAX_CONNECTIONS = 1_024
MAX_QUESTIONS = 256
#: A client has so long to send a whole request, and may be idle for so long before it.
READ_S = 75.0
KEEP_ALIVE_S = 15.0
#: For clients to take an answer, once nothing is waited for any more.
LAST_WORDS_S = 1.0
RECEIVE = 64 * 1024

#: What the path of one model begins with.
ONE_MODEL = "/v1/models/"
JSON = [(b"content-type", b"application/json")]
METRICS = [(b"content-type", CONTENT_TYPE)]
CLOSING = (b"connection", b"close")
EVENTS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


class NetworkServer:
    """Serves one network under one model name."""

    def __init__(self, answering: Answering, model: str, key: str | None) -> None:
        self.model = model
        self._answering = answering
        self._key = key
        self._created = int(time.time())
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._is_closing = False
        self._hurries = asyncio.Event()
        self._server: asyncio.Server | None = None
        #: Requests for an answer, by status; of streams what they would have without.
        self.requests: Counter[int] = Counter()

    async def start(self, host: str, port: int) -> str:
        """Listen; the base URL that clients use."""
        self._server = await asyncio.start_server(self._accept, host, port)
        bound = self._server.sockets[0].getsockname()
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{bound[1]}/v1"

    @property
    def is_closing(self) -> bool:
        """Whether connections end with the answer that they are at."""
        return self._is_closing

    def hurry(self) -> None:
        """Wait no longer for answers in work."""
        self._hurries.set()

    async def hurries(self) -> None:
        """Returns when answers in work are waited for no longer."""
        await self._hurries.wait()

    async def close(self, grace_s: float = 0.0) -> None:
        """Stop listening, let answers in work end for so long, and end all connections."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        for task, connection in tuple(self._connections.items()):
            if not connection.is_answering:
                task.cancel()
        hurried = asyncio.ensure_future(self._hurries.wait())
        ended = asyncio.ensure_future(self._all_ended())
        await asyncio.wait((hurried, ended), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        self._hurries.set()
        await asyncio.wait((ended,), timeout=LAST_WORDS_S)
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(hurried, ended)
        await self._answering.close()

    async def _all_ended(self) -> None:
        while self._connections:
            await asyncio.wait(tuple(self._connections))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = self._connections[task] = _Connection(self, reader, writer)
        try:
            if len(self._connections) <= MAX_CONNECTIONS and not self._is_closing:
                await connection.serve()
        except (ConnectionError, TimeoutError, h11.ProtocolError):
            pass
        except asyncio.CancelledError:
            # By `close` alone. The stream's own callback would print it as an error.
            pass
        finally:
            del self._connections[task]
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    # ------------------------------------------------------------ what connections ask

    def authorise(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Raises Refused without the right key."""
        if self._key is None:
            return
        given = next((value for name, value in headers if name == b"authorization"), b"")
        if not hmac.compare_digest(given, b"Bearer " + self._key.encode()):
            raise invalid("the key is missing or wrong", status=401, code="invalid_api_key")

    def models(self) -> bytes:
        """The answer to `GET /v1/models`."""
        return msgspec.json.encode(protocol.models(self.model, self._created))

    def one_model(self, name: str) -> bytes:
        """The answer to `GET /v1/models/NAME`; raises Refused."""
        if name != self.model:
            raise protocol.other_model(name, self.model)
        return msgspec.json.encode(protocol.one_model(self.model, self._created))

    def metrics(self) -> bytes:
        """The answer to `GET /metrics`."""
        answering = self._answering
        return as_metrics(answering.account, self.requests, answering.open_questions()).encode()

    async def answer(self, request: ChatRequest, identity: str) -> Result:
        """The network's result, counted; raises Refused."""
        status = GONE
        try:
            result = await self._answer(request, identity)
            status = 200
        except Refused as refused:
            status = refused.status
            raise
        finally:
            self.requests[status] += 1
        return result

    async def _answer(self, request: ChatRequest, identity: str) -> Result:
        if self._answering.open_questions() >= MAX_QUESTIONS:
            raise unavailable("too many questions at once", status=503, code="overloaded")
        try:
            return await self._answering.answer(protocol.question_from(request, identity))
        except CutShort as error:
            raise unavailable(str(error), status=429, code="insufficient_quota") from None
        except Failed as error:
            raise _of_failure(error.failure) from None
        except RunStopped as error:
            raise unavailable(str(error), status=502, code="network_failed") from None


def _of_failure(failure: Failure) -> Refused:
    """400: the client's own; 502: the network cannot answer this; 503 and 429: later it may."""
    if failure.is_unbounded:
        return invalid(
            "this server answers within a budget, and takes messages of text only: leave images, "
            "audio and files out",
            code="unsupported_content",
        )
    if failure.refused_as is not None:
        return invalid(
            f"a model refuses the request: {failure.message}",
            code=failure.refused_as or "request_refused",
        )
    match failure.kind:
        case FailureKind.UNAVAILABLE | FailureKind.TIMEOUT:
            return unavailable(failure.message, status=503, code="model_unavailable")
        case FailureKind.RATE_LIMITED:
            return unavailable(failure.message, status=429, code="rate_limit_exceeded")
        case _:
            return unavailable(failure.message, status=502, code="network_failed")


class _Connection:
    def __init__(
        self, server: NetworkServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(h11.SERVER)
        self.is_answering = False

    async def serve(self) -> None:
        while not self.server.is_closing:
            try:
                request, body = await self._request()
                self.is_answering = True
                await self._respond(request, body)
            except Refused as refused:
                await self._whole(refused.status, JSON, refused.body)
            except h11.RemoteProtocolError as error:
                if self.http.our_state is h11.SEND_RESPONSE or self.http.our_state is h11.IDLE:
                    answer = invalid(f"no HTTP request: {error}")
                    await self._whole(error.error_status_hint, JSON, answer.body)
                return
            if self.http.our_state is h11.MUST_CLOSE or self.http.their_state is not h11.DONE:
                return
            self.http.start_next_cycle()
            self.is_answering = False

    async def _request(self) -> tuple[h11.Request, bytes]:
        """The next one; TimeoutError for a client that is idle, or drips its request, for long."""
        async with asyncio.timeout(READ_S) as limit:
            pending, _ = self.http.trailing_data
            if not pending:
                self.http.receive_data(await self.reader.read(RECEIVE))
                # From its first byte on the whole request has so long, however it is cut.
                limit.reschedule(asyncio.get_running_loop().time() + READ_S)
            request = await self._event()
            if not isinstance(request, h11.Request):
                raise ConnectionError
            parts: list[bytes] = []
            size = 0
            while isinstance(data := await self._event(), h11.Data):
                size += len(data.data)
                if size > MAX_BODY:
                    raise invalid(f"the request is larger than {MAX_BODY} bytes", status=413)
                parts.append(bytes(data.data))
            return request, b"".join(parts)

    async def _event(self) -> object:
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self.http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self.http.receive_data(await self.reader.read(RECEIVE))

    async def _respond(self, request: h11.Request, body: bytes) -> None:
        self.server.authorise(list(request.headers))
        path = request.target.split(b"?")[0].decode("latin-1")
        method = request.method.decode("latin-1")
        match method, path:
            case "GET", "/v1/models":
                await self._whole(200, JSON, self.server.models())
            case "GET", _ if path.startswith(ONE_MODEL):
                name = unquote(path.removeprefix(ONE_MODEL))
                await self._whole(200, JSON, self.server.one_model(name))
            case "GET", "/metrics":
                await self._whole(200, METRICS, self.server.metrics())
            case "POST", "/v1/chat/completions":
                try:
                    chat = protocol.read_request(body, self.server.model)
                except Refused as refused:
                    self.server.requests[refused.status] += 1
                    raise
                await (self._stream(chat) if chat.stream else self._chat(chat))
            case _, "/v1/models" | "/v1/chat/completions" | "/metrics":
                raise invalid(f"{method} is not allowed here", status=405)
            case _:
                raise invalid(f"there is nothing at {path}", status=404)

    async def _chat(self, request: ChatRequest) -> None:
        identity, created = _identity(), int(time.time())
        result = await self._while_connected(request, identity, streams=False)
        content = protocol.completion(
            result, identity=identity, model=self.server.model, created=created
        )
        await self._whole(200, JSON, msgspec.json.encode(content))

    async def _stream(self, request: ChatRequest) -> None:
        identity, created = _identity(), int(time.time())
        await self._send(h11.Response(status_code=200, headers=EVENTS))
        try:
            result = await self._while_connected(request, identity, streams=True)
            pieces = protocol.chunks(
                result,
                identity=identity,
                model=self.server.model,
                created=created,
                wants_usage=request.wants_usage,
            )
            for piece in pieces:
                await self._send(h11.Data(data=protocol.event(piece)))
            await self._send(h11.Data(data=b"data: [DONE]\n\n"))
        except Refused as refused:
            # The status is sent already: clients read an error out of the stream.
            await self._send(h11.Data(data=b"data: " + refused.body + b"\n\n"))
        await self._send(h11.EndOfMessage())

    async def _while_connected(
        self, request: ChatRequest, identity: str, *, streams: bool
    ) -> Result:
        """The answer, unless the client goes away first."""
        answer = asyncio.ensure_future(self.server.answer(request, identity))
        gone = asyncio.ensure_future(self.reader.read(RECEIVE))
        hurried = asyncio.ensure_future(self.server.hurries())
        try:
            while True:
                await asyncio.wait(
                    (answer, gone, hurried),
                    timeout=KEEP_ALIVE_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if answer.done():
                    return answer.result()
                if hurried.done():
                    raise unavailable(
                        "the server is shutting down", status=503, code="shutting_down"
                    )
                if gone.done():
                    early = gone.result()
                    if not early:
                        raise ConnectionError("the client went away")
                    # The next request of a client that does not wait; it is read afterwards.
                    self.http.receive_data(early)
                    gone = asyncio.ensure_future(asyncio.Event().wait())  # type: ignore[arg-type]
                elif streams:
                    await self._send(h11.Data(data=b": waiting\n\n"))
        finally:
            for task in (answer, gone, hurried):
                task.cancel()
            await asyncio.gather(answer, gone, hurried, return_exceptions=True)

    async def _whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        length = (b"content-length", b"%d" % len(body))
        closing = [CLOSING] if self.server.is_closing else []
        await self._send(h11.Response(status_code=status, headers=[*headers, length, *closing]))
        await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        data = self.http.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()


def _identity() -> str:
    return f"{SERVED}{secrets.token_hex(12)}"


@contextlib.asynccontextmanager
async def serving(
    server: NetworkServer, host: str, port: int, *, grace_s: float = 0.0
) -> AsyncIterator[str]:
    """The base URL while the server runs; `grace_s` as in `close`."""
    try:
        yield await server.start(host, port)
    finally:
        await server.close(grace_s)
