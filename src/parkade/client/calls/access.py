"""Calls about logins and tokens: who the caller is, and with what it may ask."""

from datetime import timedelta

from parkade.client.call import Call, checked, get, get_list, path_id, post
from parkade.wire import feed, people


def whoami() -> Call[feed.Caller]:
    """The user of the token."""
    return get("/whoami", feed.Caller)


def begin_login() -> Call[people.Login]:
    """A login by the server's provider, which its person finishes in a browser; needs no token."""
    return post("/logins", people.Login)


def finish_login(login: str) -> Call[people.LoginState]:
    """What came of a login: a token, or when to ask again."""
    body = checked(people.FinishLogin, login=login)
    return post("/logins/token", people.LoginState, body)


def create_token(
    user: str,
    *,
    token: str | None = None,
    lasts: timedelta | str | None = None,
    is_read_only: bool = False,
) -> Call[people.NewToken]:
    """A new token; its secret is in this answer only. `lasts`: like 90d; `is_read_only`: it may
    only look."""
    body = checked(
        people.CreateToken, user=user, token=token, lasts=lasts, is_read_only=is_read_only
    )
    return post("/tokens", people.NewToken, body)


def create_agent_token(pool: str, *, if_match: str | None = None) -> Call[people.NewToken]:
    """A token with which an agent may run this pool and do nothing else."""
    return post(f"/pools/{path_id(pool)}/agent-tokens", people.NewToken, if_match=if_match)


def list_tokens() -> Call[people.Tokens]:
    """The tokens the caller may see."""
    return get_list("/tokens", people.Tokens, "tokens")


def get_token(token: str) -> Call[people.Token]:
    """One token by its public name."""
    return get(f"/tokens/{path_id(token)}", people.Token)


def revoke_token(token: str, *, if_match: str | None = None) -> Call[people.Token]:
    """The token is refused from now on."""
    return post(f"/tokens/{path_id(token)}/revoke", people.Token, if_match=if_match)
