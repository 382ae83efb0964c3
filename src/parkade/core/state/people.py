"""Orgs, users and tokens."""

import enum

import msgspec


class Role(enum.StrEnum):
    """What a user may do: everything; everything of its org; only with its own workloads."""

    OPERATOR = "operator"
    OWNER = "owner"
    MEMBER = "member"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Money that an org gets again and again, next at `next_us`."""

    micros: int
    every_us: int
    next_us: int


class Org(msgspec.Struct, frozen=True, kw_only=True):
    """A customer."""

    org: str
    created_us: int
    grant: Grant | None = None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Someone with tokens; `unix_name` is who its workloads run as on the nodes; `cap_micros` the
    most that they may cost in all, None: what its org has."""

    user: str
    org: str
    role: Role
    unix_name: str | None
    cap_micros: int | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a token: the digest of 256 random bits. `pool`: it is the agent's of that
    pool, and good for nothing else."""

    token: str
    user: str
    digest: str
    is_revoked: bool
    pool: str | None = None
