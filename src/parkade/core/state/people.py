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


class Grant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Money that an org gets again and again, next at `next_us`."""

    micros: int
    every_us: int
    next_us: int


class CapPeriod(enum.StrEnum):
    """Over which time a cap on money counts: for ever, or each calendar month in UTC anew."""

    TOTAL = "total"
    MONTH = "month"


class Cap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the workloads of a user, or of an org, may cost and hold; None: no bound of that kind.

    `since_us`: since when it holds. `by_operator`: an operator set it for an org.
    """

    micros: int | None
    period: CapPeriod
    most_gpus: int | None
    since_us: int
    by_operator: bool = False

    noted_month: int | None = None
    """The month (`month_of`) in which it was told that four fifths are spent; None: not yet."""

    @property
    def is_monthly(self) -> bool:
        """Whether it counts each month anew."""
        return self.period is CapPeriod.MONTH


class Spending(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the workloads of a user, or of an org, were charged: in all, and in the month of the
    last charge, which was posted at `at_us`."""

    total_micros: int
    month: int
    month_micros: int
    at_us: int

    def within(self, period: CapPeriod, month: int) -> int:
        """What counts against a cap in a month."""
        if period is CapPeriod.TOTAL:
            return self.total_micros
        return self.month_micros if month == self.month else 0


class OrgBounds(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much an org may have open, and begin in each minute; None: the default."""

    open_workloads: int | None = None
    submits_per_minute: int | None = None
    starts_per_minute: int | None = None


class Begun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much an org began in a minute since 1970: submissions with retries, and launches."""

    minute: int
    submits: int
    starts: int


NOTHING_BEGUN = Begun(minute=0, submits=0, starts=0)
NOTHING_SPENT = Spending(total_micros=0, month=0, month_micros=0, at_us=0)


class Org(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A customer."""

    org: str
    created_us: int
    grant: Grant | None = None

    disabled_us: int | None = None
    """Since when its users' tokens are refused and its work ends; None: it is not disabled."""

    deleted_us: int | None = None
    """Since when it stands in no list and begins nothing, for ever; None: it is not deleted."""

    cap: Cap | None = None
    """What all its workloads may cost and hold; None: what its account has."""

    bounds: OrgBounds | None = None
    """How much it may have open and begin; None: the defaults."""

    title: str | None = None
    """What it is called where its name is too short for people; None: its name alone."""

    contact: str | None = None
    """Whom to write or call about its work; None: it has not said."""


class User(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A person or program of an org; it has tokens."""

    user: str
    org: str
    role: Role

    unix_name: str | None
    """Its workloads run as this user on the nodes; None: as the agent's own."""

    cap: Cap | None = None
    """What its workloads may cost and hold; None: what its org may."""

    is_disabled: bool = False
    """Its tokens are refused, but for those of agents. Its work goes on."""

    deleted_us: int | None = None
    """Since when it stands in no list and has no token, for ever; None: it is not deleted."""


class Token(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is stored of a token: the digest of 256 random bits. `pool`: it is the agent's of that
    pool, and good for nothing else. `is_read_only`: it changes nothing. `expires_us`: it is refused
    from then on; None: never. `made_with`: the token with which it was asked for, which it does not
    outlast; None: the server made it, or a version that did not keep it."""

    token: str
    user: str
    digest: str
    is_revoked: bool
    pool: str | None = None
    is_read_only: bool = False
    expires_us: int | None = None
    made_with: str | None = None

    def is_good(self, user: User, org: Org, now_us: int) -> bool:
        """Whether its holder may speak for the user, of this org, now. An agent's token is its
        pool's: it stays good where the operator who made it is disabled."""
        assert user.org == org.org
        is_expired = self.expires_us is not None and now_us >= self.expires_us
        is_disabled = user.is_disabled or org.disabled_us is not None
        return not (self.is_revoked or is_expired or (is_disabled and self.pool is None))
