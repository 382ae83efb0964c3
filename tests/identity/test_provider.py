"""Logins by a real provider on loopback, and everything that a token of it must be."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

pytest.importorskip("authlib")
pytest.importorskip("joserfc")

from joserfc.jwk import RSAKey

from parkade.identity.door import DeviceCode, new_redirect
from parkade.identity.errors import IdentityError, Pending
from parkade.identity.provider import OidcProvider
from parkade.identity.rules import IdentityFile
from tests.identity.provider import CLIENT, SECRET, TestedProvider, providing

BACK = "http://127.0.0.1:1/login/oidc/callback"


@pytest.fixture
def there() -> Iterator[TestedProvider]:
    with providing() as provider:
        provider.client.back.append(BACK)
        yield provider


def ours(there: TestedProvider, *, secret: str | None = SECRET, **changes: Any) -> OidcProvider:
    whole = {"format": 1, "issuer": there.url, "client_id": CLIENT, "people": [{"org": "acme"}]}
    return OidcProvider(IdentityFile.model_validate({**whole, **changes}), secret)


def by_code(there: TestedProvider, here: OidcProvider) -> Mapping[str, Any]:
    """A whole login by device code, in which the person says yes at once."""

    async def whole() -> Mapping[str, Any]:
        code = await here.begin_device()
        there.decide(code.user_code)
        return await here.finish_device(code)

    return asyncio.run(whole())


def by_redirect(here: OidcProvider, **changes: str) -> Mapping[str, Any]:
    """A whole login by redirect; `changes` are what a thief of the code would have otherwise."""
    begun = new_redirect()

    async def whole() -> Mapping[str, Any]:
        address = await here.redirect_to(begun, back=BACK)
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(address)
        assert answer.status_code == 302, answer.text
        returned = httpx.URL(answer.headers["Location"])
        assert str(returned).startswith(BACK) and returned.params["state"] == begun.state
        kept = type(begun)(**({
            "state": begun.state, "nonce": begun.nonce, "verifier": begun.verifier
        } | changes))  # fmt: skip
        return await here.finish_redirect(kept, returned.params["code"], back=BACK)

    return asyncio.run(whole())


def test_a_person_logs_in_by_a_code_on_another_device(there: TestedProvider) -> None:
    here = ours(there)

    async def whole() -> Mapping[str, Any]:
        code = await here.begin_device()
        assert code.verification_uri == f"{there.url}/device"
        with pytest.raises(Pending):
            await here.finish_device(code)
        there.decide(code.user_code)
        return await here.finish_device(code)

    assert asyncio.run(whole())["preferred_username"] == "ann"


def test_a_provider_that_is_asked_too_often_is_asked_less_often(there: TestedProvider) -> None:
    here = ours(there)

    async def whole() -> DeviceCode:
        code = await here.begin_device()
        there.devices[code.device_code]["is_slowed"] = True
        before = code.interval
        with pytest.raises(Pending) as pending:
            await here.finish_device(code)
        assert pending.value.wait_s == code.interval > before
        return code

    asyncio.run(whole())


def test_a_person_that_says_no_is_not_logged_in(there: TestedProvider) -> None:
    here = ours(there)

    async def whole() -> None:
        code = await here.begin_device()
        there.decide(code.user_code, is_granted=False)
        with pytest.raises(IdentityError, match="refused at the provider"):
            await here.finish_device(code)

    asyncio.run(whole())


def test_a_code_that_expired_is_told(there: TestedProvider) -> None:
    here = ours(there)

    async def whole() -> None:
        code = await here.begin_device()
        there.devices[code.device_code]["expires_at"] = 0
        with pytest.raises(IdentityError, match="expired"):
            await here.finish_device(code)

    asyncio.run(whole())


def test_a_browser_logs_in_with_pkce(there: TestedProvider) -> None:
    assert by_redirect(ours(there))["sub"] == "248"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"verifier": "another-verifier-of-a-thief-" + "x" * 43}, "invalid_grant"),
        ({"nonce": "another"}, "another login"),
        ({"nonce": "Zürich"}, "another login"),
    ],
)
def test_a_stolen_code_is_worth_nothing(
    there: TestedProvider, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(IdentityError, match=says):
        by_redirect(ours(there), **changes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"aud": "another"}, "another client"),
        ({"aud": [CLIENT, "another"]}, "another client"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "expired"),
        ({"iat": 9_999_999_999}, "future"),
        ({"sub": ""}, "has no `sub`"),
    ],
)
def test_an_id_token_that_is_not_for_us_is_refused(
    there: TestedProvider, change: dict[str, Any], says: str
) -> None:
    there.change = change
    with pytest.raises(IdentityError, match=says):
        by_code(there, ours(there))


def test_an_id_token_that_another_key_signed_is_refused(there: TestedProvider) -> None:
    there.signs_with = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
    with pytest.raises(IdentityError, match="not the provider's"):
        by_code(there, ours(there))


def test_an_id_token_without_a_signature_is_refused(
    there: TestedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    import base64
    import json

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"iss": there.url, "aud": CLIENT, "exp": 9_999_999_999, "sub": "248"}
    bare = f"{part({'alg': 'none'})}.{part(claims)}."
    monkeypatch.setattr(there, "id_token", lambda _nonce: bare)
    with pytest.raises(IdentityError, match="not the provider's"):
        by_code(there, ours(there))


def test_new_keys_of_the_provider_are_learnt(
    there: TestedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parkade.identity.provider.LEAST_BETWEEN_KEYS_S", 0.0)
    here = ours(there)
    by_code(there, here)
    there.key = there.signs_with = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
    assert by_code(there, here)["sub"] == "248"


def test_claims_that_the_id_token_lacks_are_asked_for(there: TestedProvider) -> None:
    there.in_id_token = False
    assert by_code(there, ours(there))["preferred_username"] == "ann"
    there.person = {**there.person}
    here = ours(there)

    async def of_another() -> None:
        code = await here.begin_device()
        there.decide(code.user_code)
        there.change = {"sub": "249"}
        with pytest.raises(IdentityError, match="another person"):
            await here.finish_device(code)

    asyncio.run(of_another())


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"issuer": "https://evil.example"}, "calls itself"),
        ({"token_endpoint": "http://evil.example/token"}, "without TLS"),
        ({"jwks_uri": "ftp://127.0.0.1/jwks"}, "without TLS"),
        ({"device_authorization_endpoint": None}, "no logins by device code"),
        ({"token_endpoint": 7}, "something unknown"),
    ],
)
def test_a_provider_that_describes_itself_wrongly_is_refused(
    there: TestedProvider, metadata: dict[str, Any], says: str
) -> None:
    there.metadata = metadata
    with pytest.raises(IdentityError, match=says):
        asyncio.run(ours(there).begin_device())


def test_a_client_with_a_wrong_secret_is_told(there: TestedProvider) -> None:
    with pytest.raises(IdentityError, match="invalid_client"):
        asyncio.run(ours(there, secret="wrong-secret").begin_device())


def test_a_provider_that_is_not_there_is_told(there: TestedProvider) -> None:
    here = ours(there, issuer="http://127.0.0.1:9")
    with pytest.raises(IdentityError, match="was not reached"):
        asyncio.run(here.begin_device())
