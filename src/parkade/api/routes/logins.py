"""Logins by the provider's device code, for people who have no token yet."""

from datetime import timedelta

from fastapi import Request, Response

from parkade.api import routing
from parkade.api.logins import NewLogin, logins_of
from parkade.api.translate.scalars import instant_or_none
from parkade.wire import people as wire

router = routing.router("logins")


@router.post("/logins", status_code=201)
async def begin_login(request: Request) -> wire.Login:
    """Begins a login: a code for the person, who opens an address and types it there. Needs no
    token."""
    address = "" if request.client is None else request.client.host
    name, code = await logins_of(request).begin(address)
    return wire.Login(
        login=name,
        code=code.user_code,
        address=code.verification_uri,
        address_with_code=code.verification_uri_complete,
        lasts=timedelta(seconds=code.expires_in),
        ask_again=timedelta(seconds=code.interval),
    )


@router.post("/logins/token")
async def finish_login(
    body: wire.FinishLogin, request: Request, response: Response
) -> wire.LoginState:
    """What came of a login: a token, or when to ask again. Needs no token."""
    found = await logins_of(request).finish(body.login)
    response.headers["Cache-Control"] = "no-store"
    if not isinstance(found, NewLogin):
        return wire.LoginState(ask_again=timedelta(seconds=max(found, 1.0)))
    return wire.LoginState(
        new_token=wire.NewToken(
            token=found.token,
            user=found.user,
            secret=found.secret,
            expires=instant_or_none(found.expires_us),
        )
    )
