"""The ways out: a signed webhook, and mail.

A webhook is a POST of `{"format": 1, "name", "kind", "subject", "at_us", "body"}` with two headers:
`Parkade-Timestamp`, whole seconds since 1970, and `Parkade-Signature`, `v1=` and the HMAC-SHA256 in
hexadecimal, under the shared secret, of the timestamp, a dot, and the body's bytes. A receiver
compares it in constant time, refuses timestamps more than five minutes away, and knows a message
that it got before by its `name`. Answers of 3xx and 4xx are final, except 408, 425 and 429; what is
not 2xx otherwise is tried again.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import smtplib
import socket
import threading
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, getaddresses

import httpx
import msgspec

from parkade.core.units.time import SECOND_US
from parkade.messages.queue import Message, NotHeard

TIMEOUT_S = 10.0
"""For a whole send, however a receiver drips. The look-up of its name may take longer."""
FORMAT = 1
_AGAIN = frozenset({408, 425, 429})


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """The value of `Parkade-Signature`."""
    made = hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1={made.hexdigest()}"


def is_signed(secret: bytes, timestamp: int, body: bytes, given: str) -> bool:
    """What a receiver checks, in constant time."""
    return hmac.compare_digest(signature(secret, timestamp, body), given)


def signed(message: Message, secret: bytes, now_us: int) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a webhook's request."""
    body = json.dumps(
        {
            "format": FORMAT,
            "name": message.name,
            "kind": message.kind,
            "subject": message.subject,
            "at_us": message.at_us,
            "body": dict(message.body),
        }
    ).encode()
    timestamp = now_us // SECOND_US
    headers = {
        "Content-Type": "application/json",
        "Parkade-Timestamp": str(timestamp),
        "Parkade-Signature": signature(secret, timestamp, body),
    }
    return body, headers


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Implements `Sender`. Redirects are not followed: they would carry the message elsewhere."""

    url: str
    secret: bytes
    timeout_s: float = TIMEOUT_S

    def send(self, message: Message, now_us: int) -> None:
        """See `Sender`."""
        body, headers = signed(message, self.secret, now_us)
        try:
            code = asyncio.run(self._post(body, headers))
        except TimeoutError as error:
            raise NotHeard(f"no answer within {self.timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise NotHeard(self._in_words(error)) from error
        if not 200 <= code < 300:
            is_final = 300 <= code < 500 and code not in _AGAIN
            raise NotHeard(f"it answered {code}", is_final=is_final)

    def _in_words(self, error: Exception) -> str:
        return f"{type(error).__name__}: {error}"

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """The status; what else is answered is not read."""
        async with (
            asyncio.timeout(self.timeout_s),
            httpx.AsyncClient(timeout=None) as client,
            client.stream("POST", self.url, content=body, headers=headers) as answer,
        ):
            return answer.status_code


def addresses_in(text: str) -> list[str]:
    """The plain addresses in what an operator wrote, as `Hall <hall@x.org>, ops@x.org`."""
    return [address for _, address in getaddresses([text])]


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """Implements `Sender`, by the mail server at host and port; `name` is the Message-ID's, so that
    a mail that came twice is shown once. It goes to exactly the addresses in `to`: none is read
    out of the header."""

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    timeout_s: float = TIMEOUT_S

    def send(self, message: Message, now_us: int) -> None:
        """See `Sender`."""
        mail = EmailMessage()
        mail["From"] = self.sender
        mail["To"] = [Address(addr_spec=address) for address in self.to]
        mail["Date"] = formatdate(now_us / SECOND_US)
        mail["Subject"] = _one_line(message.subject)[:200]
        mail["Message-ID"] = f"<{hashlib.sha256(message.name.encode()).hexdigest()[:32]}@parkade>"
        mail.set_content(_letter(message))
        try:
            self._send(mail)
        except smtplib.SMTPResponseException as error:
            is_final = 500 <= error.smtp_code < 600
            raise NotHeard(f"it answered {error.smtp_code}", is_final=is_final) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotHeard(f"{type(error).__name__}: {error}") from error

    def _send(self, mail: EmailMessage) -> None:
        server = smtplib.SMTP(timeout=self.timeout_s)
        # The time-out of a socket counts from each byte: this one counts once.
        bound = threading.Timer(self.timeout_s, _hang_up, (server,))
        bound.start()
        try:
            server.connect(self.host, self.port)
            with server:
                server.send_message(mail, to_addrs=self.to)
        finally:
            bound.cancel()
            server.close()


def _letter(message: Message) -> str:
    """For people: the subject, and below it each fact that there is on a line of its own."""
    facts = [f"{key}: {_plain(value)}" for key, value in message.body.items() if value is not None]
    return "\n".join([_one_line(message.subject), "", *facts, ""])


def _one_line(text: str) -> str:
    """Printable, and nothing that a header would decode (RFC 2047), which could begin a line."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.replace("=?", "= ?").split())


def _plain(value: object) -> str:
    is_one_line = isinstance(value, str) and value.isprintable()
    return str(value) if is_one_line else json.dumps(value, ensure_ascii=False)


def _hang_up(server: smtplib.SMTP) -> None:
    """Whatever waits for the server gets the end of the connection."""
    if server.sock is not None:
        with contextlib.suppress(OSError):
            server.sock.shutdown(socket.SHUT_RDWR)
