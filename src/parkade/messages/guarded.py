"""A webhook whose address a user named: the connection goes where `addresses.py` allows it.

The name is looked up here, once, and the connection is made to that very address; TLS still checks
the certificate against the name. No proxy of the environment is used, because it would look the
name up again.
"""

import asyncio
import socket
from urllib.parse import urlsplit, urlunsplit

import httpx

from parkade.messages.addresses import AddressRules, allowed
from parkade.messages.queue import NotHeard
from parkade.messages.senders import Webhook

_UNREACHABLE = "this host cannot be reached from here"


class GuardedWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook that goes nowhere but where the rules allow it."""

    rules: AddressRules

    def _in_words(self, error: Exception) -> str:
        """What came back may tell of machines that the user cannot reach, and so may the difference
        between a name that is not there and one that is and may not be named."""
        if isinstance(error, socket.gaierror | httpx.ConnectError | UnicodeError):
            return _UNREACHABLE
        return type(error).__name__

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """The status; what else is answered is not read."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        async with asyncio.timeout(self.timeout_s):
            loop = asyncio.get_running_loop()
            port = parts.port or (443 if parts.scheme == "https" else 80)
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            address = allowed([str(each[4][0]) for each in found], self.rules, scheme=parts.scheme)
            if address is None:
                raise NotHeard(_UNREACHABLE)
            place = f"[{address}]" if ":" in address else address
            url = urlunsplit((parts.scheme, f"{place}:{port}", parts.path, parts.query, ""))
            async with (
                httpx.AsyncClient(timeout=None, trust_env=False) as client,
                client.stream(
                    "POST",
                    url,
                    content=body,
                    headers={**headers, "Host": parts.netloc},
                    extensions={"sni_hostname": host},
                ) as answer,
            ):
                return answer.status_code
