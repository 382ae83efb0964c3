"""The ways out: a signed webhook, and mail.

A webhook is a POST of `{"format": 1, "name", "kind", "subject", "at_us", "body"}` with two headers:
`Parkade-Timestamp`, whole seconds since 1970, and `Parkade-Signature`, `v1=` and the HMAC-SHA256 in
hexadecimal, under the shared secret, of the timestamp, a dot, and the body's bytes. A receiver
compares it in constant time, refuses timestamps more than five minutes away, and knows a message
that it got before by its `name`. Answers of 3xx and 4xx are final, except 408, 425 and 429; what is
not 2xx otherwise is tried again.
"""

import hashlib
import hmac
import json
import smtplib
from email.message import EmailMessage
from email.utils import formatdate

import httpx
import msgspec

from parkade.core.units.time import SECOND_US
from parkade.messages.queue import Message, NotHeard

TIMEOUT_S = 10.0
FORMAT = 1
_AGAIN = frozenset({408, 425, 429})


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """The value of `Parkade-Signature`."""
    made = hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1={made.hexdigest()}"


def is_signed(secret: bytes, timestamp: int, body: bytes, given: str) -> bool:
    """What a receiver checks, in constant time."""
    return hmac.compare_digest(signature(secret, timestamp, body), given)


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Implements `Sender`. Redirects are not followed: they would carry the message elsewhere."""

    url: str
    secret: bytes

    def send(self, message: Message, now_us: int) -> None:
        """See `Sender`."""
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
            "Parkade-Signature": signature(self.secret, timestamp, body),
        }
        try:
            answer = httpx.post(self.url, content=body, headers=headers, timeout=TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NotHeard(f"{type(error).__name__}: {error}") from error
        code = answer.status_code
        if not answer.is_success:
            is_final = 300 <= code < 500 and code not in _AGAIN
            raise NotHeard(f"it answered {code}", is_final=is_final)


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """Implements `Sender`, by the mail server at host and port; `name` is the Message-ID's, so that
    a mail that came twice is shown once."""

    host: str
    port: int
    sender: str
    to: str

    def send(self, message: Message, now_us: int) -> None:
        """See `Sender`."""
        mail = EmailMessage()
        mail["From"], mail["To"] = self.sender, self.to
        mail["Date"] = formatdate(now_us / SECOND_US)
        mail["Subject"] = " ".join(message.subject.split())[:200]
        mail["Message-ID"] = f"<{hashlib.sha256(message.name.encode()).hexdigest()[:32]}@parkade>"
        mail.set_content(json.dumps(dict(message.body), indent=1))
        try:
            with smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S) as server:
                server.send_message(mail)
        except smtplib.SMTPResponseException as error:
            is_final = 500 <= error.smtp_code < 600
            raise NotHeard(f"it answered {error.smtp_code}", is_final=is_final) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotHeard(f"{type(error).__name__}: {error}") from error
