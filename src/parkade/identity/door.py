"""What a provider of logins does for the server, and the values of a login under way."""

import secrets
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from parkade.identity.rules import IdentityFile

FIRST_INTERVAL_S = 5.0


class DeviceCode(msgspec.Struct, kw_only=True):
    """A login that a person finishes at the provider, as RFC 8628 names it; `device_code` is the
    server's alone. Spans are seconds; `interval` grows where the provider asks for it."""

    device_code: str
    user_code: str
    verification_uri: str
    expires_in: float
    verification_uri_complete: str | None = None
    interval: float = FIRST_INTERVAL_S


class Redirect(msgspec.Struct, frozen=True, kw_only=True):
    """A login that a browser began: three secrets that its answer must agree with."""

    state: str
    nonce: str
    verifier: str


def new_redirect() -> Redirect:
    """Three times 256 random bits."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Redirect(state=state, nonce=nonce, verifier=verifier)


class Provider(Protocol):
    """Each method raises IdentityError where it fails."""

    @property
    def file(self) -> IdentityFile:
        """Which provider it is, and who may come in."""
        ...

    async def begin_device(self) -> DeviceCode:
        """Asks for a code that the person types at the provider."""
        ...

    async def finish_device(self, code: DeviceCode) -> Mapping[str, Any]:
        """The claims of the person, once it has finished; Pending until then."""
        ...

    async def redirect_to(self, begun: Redirect, *, back: str) -> str:
        """Where the browser goes to log in; `back` is where the provider sends it then."""
        ...

    async def finish_redirect(self, begun: Redirect, code: str, *, back: str) -> Mapping[str, Any]:
        """The claims of the person who came back with a code."""
        ...
