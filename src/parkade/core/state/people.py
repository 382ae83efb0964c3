"""Orgs, users and tokens."""

import enum

import msgspec


class Role(enum.StrEnum):
    """What a user may do: everything; everything of its org; only with its own workloads; only look
    at the nodes that its org supplies, and at its org's statement."""

    OPERATOR = "operator"
    OWNER = "owner"
    MEMBER = "member"
    PARTNER = "partner"


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

    disabled_us: int | None = None
    """Since when its users' tokens are refused and its work ends; None: it is not disabled."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person or program of an org; it has tokens."""

    user: str
    org: str
    role: Role

    unix_name: str | None
    """Its workloads run as this user on the nodes; None: as the agent's own."""

    cap_micros: int | None = None
    """The most that its workloads may cost in all; None: what its org has."""

    is_disabled: bool = False
    """Its tokens are refused, but for those of agents. Its work goes on."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a token: the digest of 256 random bits. `pool`: it is the agent's of that
    pool, and good for nothing else. `is_read_only`: it changes nothing. `expires_us`: it is refused
    from then on; None: never."""

    token: str
    user: str
    digest: str
    is_revoked: bool
    pool: str | None = None
    is_read_only: bool = False
    expires_us: int | None = None

    def is_good(self, user: User, org: Org, now_us: int) -> bool:
        """Whether its holder may speak for the user, of this org, now. An agent's token is its
        pool's: it stays good where the operator who made it is disabled."""
        assert user.org == org.org
        is_expired = self.expires_us is not None and now_us >= self.expires_us
        is_disabled = user.is_disabled or org.disabled_us is not None
        return not (self.is_revoked or is_expired or (is_disabled and self.pool is None))
