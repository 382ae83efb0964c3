"""Events about orgs, users and their tokens, and about what they may spend, hold and open."""

from parkade.core.state.events.event import Event
from parkade.core.state.people import Cap, CapPeriod, Grant, Org, OrgBounds, Role, Token, User


class AboutAccounts(Event, frozen=True, kw_only=True):
    """All events about orgs, users, their tokens and what they may spend."""


class OrgCreated(AboutAccounts, frozen=True, kw_only=True):
    """A customer."""

    org: Org


class UserCreated(AboutAccounts, frozen=True, kw_only=True):
    """A user."""

    user: User


class TokenAdded(AboutAccounts, frozen=True, kw_only=True):
    """A token's digest."""

    token: Token


class TokenRevoked(AboutAccounts, frozen=True, kw_only=True):
    """The token is refused from now on."""

    token: str


class GrantSet(AboutAccounts, frozen=True, kw_only=True):
    """What an org gets again and again changed, or came due and is next due later."""

    org: str
    grant: Grant | None


class CapSet(AboutAccounts, frozen=True, kw_only=True):
    """The most that a user's workloads may cost, in each `period`, or hold, changed."""

    user: str
    cap_micros: int | None
    period: CapPeriod = CapPeriod.TOTAL
    most_gpus: int | None = None

    @property
    def cap(self) -> Cap | None:
        """The cap from now on; without a bound of either kind there is none."""
        if self.cap_micros is None and self.most_gpus is None:
            return None
        return Cap(
            micros=self.cap_micros,
            period=self.period,
            most_gpus=self.most_gpus,
            since_us=self.at_us,
        )


class OrgCapSet(AboutAccounts, frozen=True, kw_only=True):
    """The most that all workloads of an org may cost or hold changed; None: no cap."""

    org: str
    cap: Cap | None


class OrgBoundsSet(AboutAccounts, frozen=True, kw_only=True):
    """How much an org may have open and begin changed; None: the defaults."""

    org: str
    bounds: OrgBounds | None


class OrgDescribed(AboutAccounts, frozen=True, kw_only=True):
    """What an org is called and whom to ask about it; None: none."""

    org: str
    title: str | None
    contact: str | None


class CapNoted(AboutAccounts, frozen=True, kw_only=True):
    """Four fifths of what a cap allows are spent, or spent and owed; `user` None: the cap is the
    org's."""

    org: str
    user: str | None
    spent_micros: int
    cap_micros: int
    period: CapPeriod


class OrgDisabled(AboutAccounts, frozen=True, kw_only=True):
    """The tokens of an org's users are refused from now on, and its work and claims end by
    deadlines; or, where not `is_disabled`, it is as any other again."""

    org: str
    is_disabled: bool


class UserDisabled(AboutAccounts, frozen=True, kw_only=True):
    """The user's tokens are refused from now on, or, where not `is_disabled`, no longer."""

    user: str
    is_disabled: bool


class UserDeleted(AboutAccounts, frozen=True, kw_only=True):
    """The user is gone for good; its tokens that were not revoked are, by events of their own. What
    it did, and was charged, stays under its name, which is given to no other."""

    user: str


class OrgDeleted(AboutAccounts, frozen=True, kw_only=True):
    """The org is gone for good. Its statements stay under its name, which is given to no other."""

    org: str


class UserRoleSet(AboutAccounts, frozen=True, kw_only=True):
    """What a user may do changed, for its tokens at once."""

    user: str
    role: Role


class UnixNameSet(AboutAccounts, frozen=True, kw_only=True):
    """The Unix user of a user's workloads changed, from their next attempt on."""

    user: str
    unix_name: str | None


AccountEvent = (
    OrgCreated
    | UserCreated
    | OrgDisabled
    | UserDisabled
    | UserDeleted
    | OrgDeleted
    | UserRoleSet
    | TokenAdded
    | TokenRevoked
    | GrantSet
    | CapSet
    | OrgCapSet
    | OrgBoundsSet
    | OrgDescribed
    | CapNoted
    | UnixNameSet
)
"""About orgs, users and tokens."""
