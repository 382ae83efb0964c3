"""One HTTP/1.1 response out of bytes as they come: a pure reader, without a connection.

It knows bodies with a length, chunked, and until the end of the connection. Each byte of a body is
looked at once, however small the pieces are, and at most `MAX_REPLY_BYTES` are kept, so that a
server can make a client neither slow nor large. What is no HTTP is a `BadReply`.
"""

from parkade.compound.models.exchange import MAX_HEAD_BYTES, MAX_REPLY_BYTES, HttpReply

MAX_CHUNK_LINE = 1_024
_TOO_LARGE = f"the reply is larger than {MAX_REPLY_BYTES} bytes"
#: How a body ends, in place of its length.
CHUNKED, UNTIL_CLOSED = -1, -2


class BadReply(Exception):
    """The bytes are no HTTP response; the message says what is wrong."""


class ReplyReader:
    """Reads one response after the other from one connection."""

    __slots__ = (
        "_body",
        "_buffer",
        "_chunk_left",
        "_headers",
        "_is_between",
        "_left",
        "_size",
        "_status",
        "keeps",
    )

    def __init__(self) -> None:
        self._reset()
        #: Whether the connection may carry another response after this one.
        self.keeps = True

    def _reset(self) -> None:
        #: What was received and is not read yet; a body's bytes leave it as they come.
        self._buffer = b""
        self._status = 0
        self._headers: dict[str, str] = {}
        #: Bytes of the body, or how it ends.
        self._left = 0
        self._body: list[bytes] = []
        self._size = 0
        #: Bytes to come of the chunk that is being read, and whether its line break is to come.
        self._chunk_left = 0
        self._is_between = False

    @property
    def has_begun(self) -> bool:
        """Whether a byte of the response has come."""
        return bool(self._status or self._buffer)

    def feed(self, data: bytes) -> HttpReply | None:
        """More bytes; the response, when it is whole. Raises BadReply."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._status and not self._head():
            return None
        return self._read_chunks() if self._left == CHUNKED else self._read_body()

    def end(self) -> HttpReply | None:
        """The connection was closed; the response, if that is how its body ends."""
        if not self._status or self._left != UNTIL_CLOSED:
            return None
        self.keeps = False
        return self._whole()

    def _read_body(self) -> HttpReply | None:
        """To its length, or to the end of the connection."""
        self._take(self._buffer)
        self._buffer = b""
        if 0 <= self._left <= self._size:
            if self._size > self._left:
                # More than was announced: what follows would be taken for another reply.
                self.keeps = False
                self._body = [b"".join(self._body)[: self._left]]
            return self._whole()
        return None

    def _take(self, part: bytes) -> None:
        """A piece of the body; its bytes are counted once, however small the pieces are."""
        if part:
            self._size += len(part)
            if self._size > MAX_REPLY_BYTES:
                raise BadReply(_TOO_LARGE)
            self._body.append(part)

    def _head(self) -> bool:
        """Read the head of a response; whether it is whole."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise BadReply("the head of the reply has no end")
                return False
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            self._buffer = self._buffer[end + 4 :]
            status = _status(lines[0])
            # 1xx answers come before the real one.
            if status >= 200:
                break
        self._status = status
        self._headers = _headers(lines[1:])
        self._frame(lines[0])
        return True

    def _frame(self, status_line: str) -> None:
        headers = self._headers
        tokens = headers.get("connection", "").lower()
        self.keeps = "close" not in tokens and (
            not status_line.startswith("HTTP/1.0") or "keep-alive" in tokens
        )
        if self._status in (204, 304):
            self._left = 0
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._left = CHUNKED
        elif "content-length" in headers:
            length = headers["content-length"]
            # Python refuses to read a number of thousands of digits.
            if not _is_number(length) or len(length) > 20 or int(length) > MAX_REPLY_BYTES:
                raise BadReply(f"a reply of {length[:20]} bytes is not read")
            self._left = int(length)
        else:
            self._left = UNTIL_CLOSED
            self.keeps = False

    def _read_chunks(self) -> HttpReply | None:
        buffer, place = self._buffer, 0
        while True:
            if self._chunk_left:
                part = buffer[place : place + self._chunk_left]
                if not part:
                    break
                self._take(part)
                place += len(part)
                self._chunk_left -= len(part)
                self._is_between = not self._chunk_left
                continue
            if self._is_between:
                if len(buffer) < place + 2:
                    break
                if not buffer.startswith(b"\r\n", place):
                    raise BadReply("a chunk is longer than it says")
                place += 2
                self._is_between = False
            end = buffer.find(b"\r\n", place)
            if end < 0:
                if len(buffer) - place > MAX_CHUNK_LINE:
                    raise BadReply("a chunk has no size")
                break
            self._chunk_left = _chunk_size(buffer[place:end])
            if self._chunk_left == 0:
                return self._read_trailers(buffer, end)
            place = end + 2
        self._buffer = buffer[place:]
        return None

    def _read_trailers(self, buffer: bytes, end: int) -> HttpReply | None:
        """What follows the last chunk; an empty line ends it, and it is not used."""
        last = buffer.find(b"\r\n\r\n", end)
        if last < 0:
            if len(buffer) - end > MAX_HEAD_BYTES:
                raise BadReply("the trailers of the reply have no end")
            self._buffer = b"0" + buffer[end:]
            return None
        if len(buffer) > last + 4:
            self.keeps = False
        return self._whole()

    def _whole(self) -> HttpReply:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        reply = HttpReply(self._status, self._headers, body)
        self._reset()
        return reply


def _chunk_size(line: bytes) -> int:
    digits = line.split(b";", 1)[0].strip()
    if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadReply("a chunk has no size")
    size = int(digits, 16)
    if size > MAX_REPLY_BYTES:
        raise BadReply(_TOO_LARGE)
    return size


def _status(line: str) -> int:
    parts = line.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1."):
        raise BadReply("the server does not speak HTTP/1.1")
    code = parts[1]
    if not _is_number(code) or len(code) != 3 or code < "100":
        raise BadReply("the reply has no status")
    return int(code)


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadReply("a header has no colon")
        headers[name.lower()] = value.strip()
    return headers


def _is_number(text: str) -> bool:
    """Only the digits 0 to 9: `isdigit` alone takes others for digits, such as ²."""
    return text.isascii() and text.isdigit()
