"""Speaks with the provider: its description, logins by a device's code, logins by redirect.

Follows OpenID Connect Core 1.0 and Discovery 1.0, RFC 8628 (device codes) and RFC 7636 (PKCE). An
ID token counts only where its signature is by a key that the issuer publishes, by an asymmetric
algorithm, and it is the issuer's, for this client, not expired, and, after a redirect, of the login
that this browser began. Nothing that is secret is logged: codes and secrets travel in bodies alone.
"""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from parkade.identity.door import DeviceCode, Redirect
from parkade.identity.errors import IdentityError, Pending
from parkade.identity.rules import LOOPBACK, IdentityFile

TIMEOUT_S = 10.0
T = TypeVar("T")
MOST_BYTES = 1_048_576
DESCRIBED_S = 3_600.0
LEAST_BETWEEN_KEYS_S = 30.0
LEEWAY_S = 60
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SLOWER_S = 5.0
LONGEST_DEVICE_S = 1_800.0
_FORM = {"Accept": "application/json"}


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of the provider's metadata."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    device_authorization_endpoint: str | None = None


class _Tokens(msgspec.Struct, kw_only=True):
    id_token: str
    access_token: str


class _Refusal(msgspec.Struct, kw_only=True):
    error: str = ""


class OidcProvider:
    """Implements `Provider`, in one event loop. `secret`: the client's, None for a public one."""

    def __init__(self, file: IdentityFile, secret: str | None) -> None:
        self._file = file
        self._secret = secret
        self._described: tuple[float, Description] | None = None
        self._keys: KeySet | None = None
        self._keys_at_s = 0.0
        self._lock = asyncio.Lock()

    @property
    def file(self) -> IdentityFile:
        """See `Provider`."""
        return self._file

    async def begin_device(self) -> DeviceCode:
        """Asks for a code that the person types at the provider."""
        described = await self._describe()
        if described.device_authorization_endpoint is None:
            raise IdentityError("the provider has no logins by device code; log in with a token")
        answer = await self._post(
            described.device_authorization_endpoint, {"scope": " ".join(self._file.scopes)}
        )
        if not answer.is_success:
            raise IdentityError(f"the provider gave no code: {_error_of(answer)}")
        code = _read(answer.content, DeviceCode)
        code.expires_in = min(code.expires_in, LONGEST_DEVICE_S)
        code.interval = max(code.interval, 1.0)
        for address in filter(None, (code.verification_uri, code.verification_uri_complete)):
            self._safe(address)
        return code

    async def finish_device(self, code: DeviceCode) -> Mapping[str, Any]:
        """The claims of the person, once it has finished; Pending until then."""
        described = await self._describe()
        grant = {"grant_type": DEVICE_GRANT, "device_code": code.device_code}
        answer = await self._post(described.token_endpoint, grant)
        if answer.is_success:
            return await self._claims(_read(answer.content, _Tokens), nonce=None)
        error = _error_of(answer)
        if error == "slow_down":
            code.interval += SLOWER_S
        if error in ("authorization_pending", "slow_down"):
            raise Pending(code.interval)
        reasons = {
            "access_denied": "the login was refused at the provider",
            "expired_token": "the code expired before it was used; log in again",
        }
        raise IdentityError(reasons.get(error, f"the provider refused the login: {error}"))

    async def redirect_to(self, begun: Redirect, *, back: str) -> str:
        """Where the browser goes to log in; `back` is where the provider sends it then."""
        described = await self._describe()
        digest = hashlib.sha256(begun.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._file.client_id,
            "redirect_uri": back,
            "scope": " ".join(self._file.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(described.authorization_endpoint).query else "?"
        return f"{described.authorization_endpoint}{joint}{urlencode(query)}"

    async def finish_redirect(self, begun: Redirect, code: str, *, back: str) -> Mapping[str, Any]:
        """The claims of the person who came back with a code."""
        described = await self._describe()
        grant = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": begun.verifier,
        }
        answer = await self._post(described.token_endpoint, grant)
        if not answer.is_success:
            raise IdentityError(f"the provider refused the login: {_error_of(answer)}")
        return await self._claims(_read(answer.content, _Tokens), nonce=begun.nonce)

    async def _claims(self, tokens: _Tokens, *, nonce: str | None) -> Mapping[str, Any]:
        claims = await self._verified(tokens.id_token)
        answered = str(claims.get("nonce", ""))
        if nonce is not None and not secrets.compare_digest(answered.encode(), nonce.encode()):
            raise IdentityError("the provider answered another login than this browser's")
        described = await self._describe()
        if self._file.claims <= claims.keys() or described.userinfo_endpoint is None:
            return claims
        answer = await self._get(described.userinfo_endpoint, tokens.access_token)
        more = _read(answer.content, dict[str, Any])
        if more.get("sub") != claims["sub"]:
            raise IdentityError("the provider tells of another person than the one who logged in")
        return {**more, **claims}

    async def _verified(self, id_token: str) -> dict[str, Any]:
        now_s = int(time.time())
        for is_last in (False, True):
            keys = await self._signing_keys(is_new=is_last)
            try:
                found = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
                break
            except (JoseError, ValueError) as error:
                # The provider may have begun to sign with a key that it had not.
                if is_last:
                    raise IdentityError(f"the ID token is not the provider's: {error}") from None
        audience = found.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        is_for_us = self._file.client_id in audiences and (
            len(audiences) == 1 or found.get("azp") == self._file.client_id
        )
        expires = found.get("exp")
        issued = found.get("iat", now_s)
        if found.get("iss") != self._file.issuer or not is_for_us:
            raise IdentityError("the ID token is of another issuer, or for another client")
        if not isinstance(expires, int | float) or expires + LEEWAY_S < now_s:
            raise IdentityError("the ID token has expired")
        if not isinstance(issued, int | float) or issued - LEEWAY_S > now_s:
            raise IdentityError("the ID token is of the future: a clock is wrong")
        if not isinstance(found.get("sub"), str) or not found["sub"]:
            raise IdentityError("the ID token has no `sub`: ask the provider's operator")
        return dict(found)

    async def _signing_keys(self, *, is_new: bool) -> KeySet:
        async with self._lock:
            since_s = time.monotonic() - self._keys_at_s
            if self._keys is None or (is_new and since_s > LEAST_BETWEEN_KEYS_S):
                described = await self._describe()
                answer = await self._get(described.jwks_uri)
                try:
                    found: Any = _read(answer.content, dict[str, Any])
                    self._keys = KeySet.import_key_set(found)
                except (JoseError, ValueError, KeyError, TypeError) as error:
                    raise IdentityError(f"the provider's keys cannot be read: {error}") from None
                self._keys_at_s = time.monotonic()
            return self._keys

    async def _describe(self) -> Description:
        now_s = time.monotonic()
        if self._described is not None and now_s - self._described[0] < DESCRIBED_S:
            return self._described[1]
        place = f"{self._file.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = _read((await self._get(place)).content, Description)
        if found.issuer != self._file.issuer:
            raise IdentityError(
                f"the provider calls itself {found.issuer[:200]}, oidc.yaml says"
                f" {self._file.issuer}: write it as the provider does"
            )
        for address in (
            found.authorization_endpoint,
            found.token_endpoint,
            found.jwks_uri,
            found.userinfo_endpoint,
            found.device_authorization_endpoint,
        ):
            if address is not None:
                self._safe(address)
        self._described = (now_s, found)
        return found

    def _safe(self, address: str) -> None:
        """IdentityError where secrets would travel in the clear."""
        parts = urlsplit(address)
        is_local = parts.hostname in LOOPBACK and urlsplit(self._file.issuer).hostname in LOOPBACK
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
            raise IdentityError(f"the provider names an address without TLS: {address[:200]}")

    async def _post(self, address: str, fields: dict[str, str]) -> httpx.Response:
        """With the client's secret where it has one, else with its name alone."""
        if self._secret is None:
            fields = {**fields, "client_id": self._file.client_id}
            return await self._send("POST", address, data=fields, headers=_FORM)
        basic = httpx.BasicAuth(self._file.client_id, self._secret)
        return await self._send("POST", address, data=fields, headers=_FORM, auth=basic)

    async def _get(self, address: str, token: str | None = None) -> httpx.Response:
        headers = {**_FORM, **({} if token is None else {"Authorization": f"Bearer {token}"})}
        answer = await self._send("GET", address, headers=headers)
        if not answer.is_success:
            raise IdentityError(f"{address} answered {answer.status_code}")
        return answer

    async def _send(self, method: str, address: str, **more: Any) -> httpx.Response:
        """One call, at most so long and so much; redirects are not followed."""
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx.AsyncClient(timeout=None) as client,
                client.stream(method, address, **more) as answer,
            ):
                parts, size = [], 0
                async for part in answer.aiter_bytes():
                    size += len(part)
                    if size > MOST_BYTES:
                        raise IdentityError(f"{address} answers with more than {MOST_BYTES} bytes")
                    parts.append(part)
                return httpx.Response(answer.status_code, content=b"".join(parts))
        except TimeoutError:
            raise IdentityError(f"{address} did not answer within {TIMEOUT_S:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            kind = type(error).__name__
            raise IdentityError(f"the provider was not reached ({kind}): {address}") from None


def _error_of(answer: httpx.Response) -> str:
    """The provider's word for why not, or its status where it has none; at a bounded length."""
    try:
        error = msgspec.json.decode(answer.content, type=_Refusal).error
    except msgspec.MsgspecError:
        error = ""
    return error[:80] or str(answer.status_code)


def _read(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise IdentityError(f"the provider answered something unknown: {error}") from None
