"""Orgs, users and tokens on the wire."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from parkade.wire.model import Answer, Request
from parkade.wire.scalars import Amount, Instant, Name, Price

Role = Literal["operator", "owner", "member"]
UnixName = Annotated[str, Strict(), Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]


class CreateOrg(Request):
    """A new customer."""

    org: Name


class CreateUser(Request):
    """A new person or program of an org; `unix_name` is who its workloads run as."""

    user: Name
    org: Name
    role: Role = "member"
    unix_name: UnixName | None = None


class CreateToken(Request):
    """A new token; `token` is its public name, chosen by the server where it is left out."""

    user: Name
    token: Name | None = None


class Deposit(Request):
    """Money from outside for an org."""

    amount: Price


class Org(Answer):
    """A customer and what its account holds."""

    org: str
    created: Instant
    balance: Amount


class Orgs(Answer):
    """Those the caller may see."""

    orgs: tuple[Org, ...]


class User(Answer):
    """Someone with tokens."""

    user: str
    org: str
    role: Role
    unix_name: str | None


class Users(Answer):
    """Those the caller may see."""

    users: tuple[User, ...]


class Token(Answer):
    """What may be told of a token: never the token."""

    token: str
    user: str
    is_revoked: bool


class Tokens(Answer):
    """Those the caller may see."""

    tokens: tuple[Token, ...]


class NewToken(Answer):
    """`secret` is told once, here, and kept nowhere."""

    token: str
    user: str
    secret: str
