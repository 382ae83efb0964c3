"""A provider of OpenID Connect on loopback, made of Authlib's server: redirects with PKCE, device
codes, ID tokens, and a person who does what the test says."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import (
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
    DeviceCredentialDict,
)
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

CLIENT, SECRET = "parkade", "a-secret-of-the-client"
BY_SECRET = ("client_secret_basic",)


class Client(ClientMixin):  # type: ignore[misc]
    """The one client that is registered."""

    def __init__(self, back: list[str]) -> None:
        self.back = back

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return self.back[0]

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.back

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, _grant_type: str) -> bool:
        return True


class Code(dict[str, Any]):
    """An authorization code."""

    def get_redirect_uri(self) -> str:
        return str(self["redirect_uri"])

    def get_scope(self) -> str:
        return str(self["scope"])

    def get_nonce(self) -> Any:
        return self.get("nonce")

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_amr(self) -> None:
        return None

    def get_acr(self) -> None:
        return None

    @property
    def code_challenge(self) -> Any:
        return self.get("code_challenge")

    @property
    def code_challenge_method(self) -> Any:
        return self.get("code_challenge_method")


class TestedProvider:
    """`person` is who stands before the provider's page; `change` alters each ID token's claims,
    `key` signs them, and `requests` are what came in, bodies included."""

    __test__ = False

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"sub": "248", "preferred_username": "ann"}
        self.change: dict[str, Any] = {}
        self.in_id_token = True
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.signs_with = self.key
        self.client = Client([])
        self.codes: dict[str, Code] = {}
        self.devices: dict[str, DeviceCredentialDict] = {}
        self.decided: dict[str, bool] = {}
        self.url = ""
        self.interval_s = 5
        self.metadata: dict[str, Any] = {}
        self.requests: list[str] = []
        self.app = flask.Flask(__name__)
        self._grants()
        self._routes()

    def id_token(self, nonce: Any) -> str:
        now_s = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "iat": now_s, "exp": now_s + 600,
            **(self.person if self.in_id_token else {"sub": self.person["sub"]}),
            **({} if nonce is None else {"nonce": nonce}),
            **self.change,
        }  # fmt: skip
        header = {"alg": "RS256", "kid": self.signs_with.kid}
        return str(jwt.encode(header, claims, self.signs_with))

    def decide(self, user_code: str, *, is_granted: bool = True) -> None:
        """What the person says on the page for codes."""
        assert any(it["user_code"] == user_code for it in self.devices.values())
        self.decided[user_code] = is_granted

    def _grants(self) -> None:
        provider = self

        class Redirects(grants.AuthorizationCodeGrant):  # type: ignore[misc]
            TOKEN_ENDPOINT_AUTH_METHODS = BY_SECRET

            def save_authorization_code(self, code: str, request: Any) -> Code:
                kept = Code(request.payload.data)
                provider.codes[code] = kept
                return kept

            def query_authorization_code(self, code: str, _client: Any) -> Code | None:
                return provider.codes.get(code)

            def delete_authorization_code(self, authorization_code: Code) -> None:
                provider.codes = {
                    c: v for c, v in provider.codes.items() if v is not authorization_code
                }

            def authenticate_user(self, _code: Code) -> UserInfo:
                return UserInfo(provider.person)

        class IdTokens(OpenIDCode):  # type: ignore[misc]
            def exists_nonce(self, _nonce: str, _request: Any) -> bool:
                return False

            def process_token(self, _grant: Any, response: Any = None, *_: Any) -> None:
                return None

        class Devices(DeviceCodeGrant):  # type: ignore[misc]
            TOKEN_ENDPOINT_AUTH_METHODS = BY_SECRET

            def query_device_credential(self, device_code: str) -> Any:
                return provider.devices.get(device_code)

            def query_user_grant(self, user_code: str) -> Any:
                decided = provider.decided.get(user_code)
                return None if decided is None else (UserInfo(provider.person), decided)

            def should_slow_down(self, credential: Any) -> bool:
                return bool(credential.pop("is_slowed", False))

        class Endpoint(DeviceAuthorizationEndpoint):  # type: ignore[misc]
            CLIENT_AUTH_METHODS = BY_SECRET

            def get_verification_uri(self) -> str:
                return f"{provider.url}/device"

            def save_device_credential(self, client_id: str, scope: str, data: Any) -> None:
                expires_at = time.time() + data["expires_in"]
                more = {"client_id": client_id, "scope": scope, "expires_at": expires_at}
                provider.devices[data["device_code"]] = DeviceCredentialDict({**data, **more})

        self.server = AuthorizationServer()
        self.server.init_app(
            self.app,
            query_client=lambda name: self.client if name == CLIENT else None,
            save_token=lambda *_: None,
        )
        self.server.register_grant(
            Redirects, [IdTokens(require_nonce=True), CodeChallenge(required=True)]
        )
        self.server.register_grant(Devices)
        self.server.register_endpoint(Endpoint)
        self.device_endpoint = Endpoint.ENDPOINT_NAME

    def _routes(self) -> None:
        app = self.app

        @app.before_request
        def keep() -> None:
            request = flask.request
            self.requests.append(f"{request.method} {request.full_path} {request.get_data()!r}")

        @app.get("/.well-known/openid-configuration")
        def describe() -> Any:
            return {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "device_authorization_endpoint": f"{self.url}/device_authorization",
                **self.metadata,
            }

        @app.get("/jwks")
        def keys() -> Any:
            return {"keys": [self.key.as_dict(private=False)]}

        @app.get("/userinfo")
        def userinfo() -> Any:
            is_ours = flask.request.headers.get("Authorization", "").startswith("Bearer ")
            return dict(self.person) if is_ours else ("", 401)

        @app.get("/authorize")
        def authorize() -> Any:
            grant = self.server.get_consent_grant(end_user=UserInfo(self.person))
            return self.server.create_authorization_response(
                grant_user=UserInfo(self.person), grant=grant
            )

        @app.post("/device_authorization")
        def device() -> Any:
            answer = self.server.create_endpoint_response(self.device_endpoint)
            if answer.status_code == 200:
                body = {**answer.get_json(), "interval": self.interval_s}
                answer.set_data(flask.json.dumps(body))
            return answer

        @app.post("/token")
        def token() -> Any:
            kept = self.codes.get(flask.request.form.get("code", ""))
            answer = self.server.create_token_response()
            if answer.status_code == 200:
                nonce = None if kept is None else kept.get_nonce()
                answer.set_data(
                    flask.json.dumps({**answer.get_json(), "id_token": self.id_token(nonce)})
                )
            return answer


@contextmanager
def providing() -> Iterator[TestedProvider]:
    """A provider that runs while the context is open."""
    provider = TestedProvider()
    server = make_server("127.0.0.1", 0, provider.app, threaded=True)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
