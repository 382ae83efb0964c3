"""A webhook whose address a user named: the connection goes where `addresses.py` allows it.

The name is looked up here, once, and the connection is made to that very address; TLS still checks
the certificate against the name. No proxy of the environment is used, because it would look the
name up again.
"""

import asyncio
import socket
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec

from parkade.messages.addresses import AddressRules, allowed
from parkade.messages.queue import Message, NotHeard
from parkade.messages.senders import TIMEOUT_S, check_answer, signed


class GuardedWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """Implements `Sender`. Redirects are not followed."""

    url: str
    secret: bytes
    rules: AddressRules
    timeout_s: float = TIMEOUT_S

    def send(self, message: Message, now_us: int) -> None:
        """See `Sender`."""
        body, headers = signed(message, self.secret, now_us)
        try:
            code = asyncio.run(self._post(body, headers))
        except TimeoutError as error:
            raise NotHeard(f"no answer within {self.timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # What came back may tell of machines that the user cannot reach.
            raise NotHeard(type(error).__name__) from error
        check_answer(code)

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
                raise NotHeard(f"{host} may not be named", is_final=True)
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
