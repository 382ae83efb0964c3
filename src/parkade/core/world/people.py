"""Orgs, users and tokens."""

import enum

import msgspec


class Role(enum.StrEnum):
    """What a user may do: everything; everything of its org; only with its own workloads."""

    OPERATOR = "operator"
    OWNER = "owner"
    MEMBER = "member"


class Org(msgspec.Struct, frozen=True, kw_only=True):
    """A customer."""

    org: str
    created_us: int


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Someone with tokens; `unix_name` is who its workloads run as on the nodes."""

    user: str
    org: str
    role: Role
    unix_name: str | None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a token: the digest of 256 random bits."""

    token: str
    user: str
    digest: str
    is_revoked: bool
