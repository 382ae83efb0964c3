"""Commands about orgs, users and tokens, their money, and what they may spend, hold and open."""

from parkade.core.state.commands.command import Command
from parkade.core.state.people import CapPeriod, Role


class AboutAccounts(Command, frozen=True, kw_only=True):
    """All commands about orgs, users and their tokens."""


class CreateOrg(AboutAccounts, frozen=True, kw_only=True):
    """A customer."""

    org: str


class CreateUser(AboutAccounts, frozen=True, kw_only=True):
    """A person or program of an org; its workloads run as `unix_name`, None: as the agent's own
    user."""

    user: str
    org: str
    role: Role
    unix_name: str | None


class AddToken(AboutAccounts, frozen=True, kw_only=True):
    """A token's digest (SHA-256 of 256 random bits, hexadecimal); the token is never stored.
    `pool`: it is for that pool's agent only. `is_read_only`: it may only look. `lasts_us`: it is
    refused so long from now on; None: it lasts as long as the token `made_with` with which it is
    asked for. `made_with` None: the server makes it."""

    token: str
    user: str
    digest: str
    pool: str | None = None
    is_read_only: bool = False
    lasts_us: int | None = None
    made_with: str | None = None


class RevokeToken(AboutAccounts, frozen=True, kw_only=True):
    """The token is refused from now on."""

    token: str


class Deposit(AboutAccounts, frozen=True, kw_only=True):
    """Money from outside for an org."""

    org: str
    micros: int


class Adjust(AboutAccounts, frozen=True, kw_only=True):
    """Money that an operator moves by hand, and why: from the operator's own account to an org
    (`is_refund`), or from an org to the outside."""

    org: str
    micros: int
    is_refund: bool
    reason: str


class SetGrant(AboutAccounts, frozen=True, kw_only=True):
    """An org gets `micros` now and every `every_us` again; `micros` 0 ends it."""

    org: str
    micros: int
    every_us: int


class SetCap(AboutAccounts, frozen=True, kw_only=True):
    """The most that all workloads of a user may cost, in each period, and the most GPUs that they
    may hold at once; None: what its org may."""

    user: str
    cap_micros: int | None
    period: CapPeriod = CapPeriod.TOTAL
    most_gpus: int | None = None


class SetOrgCap(AboutAccounts, frozen=True, kw_only=True):
    """As `SetCap`, of all workloads of an org; None: what its account has."""

    org: str
    cap_micros: int | None
    period: CapPeriod = CapPeriod.TOTAL
    most_gpus: int | None = None


class SetOrgBounds(AboutAccounts, frozen=True, kw_only=True):
    """How many workloads an org may have open, submit and start in a minute; None: the default."""

    org: str
    open_workloads: int | None
    submits_per_minute: int | None
    starts_per_minute: int | None


class DescribeOrg(AboutAccounts, frozen=True, kw_only=True):
    """What an org is called and whom to ask about it; None: as it is, empty: none."""

    org: str
    title: str | None
    contact: str | None


class SetOrgDisabled(AboutAccounts, frozen=True, kw_only=True):
    """An org's tokens are refused and its work ends with notice, or its tokens are taken again."""

    org: str
    is_disabled: bool


class SetUserDisabled(AboutAccounts, frozen=True, kw_only=True):
    """All tokens of a user are refused from now on, or no longer. Its work goes on."""

    user: str
    is_disabled: bool


class DeleteUser(AboutAccounts, frozen=True, kw_only=True):
    """A user that is disabled and runs nothing goes for good; its name stays its own."""

    user: str


class DeleteOrg(AboutAccounts, frozen=True, kw_only=True):
    """An org that is disabled and holds nothing goes for good; its name stays its own."""

    org: str


class SetUserRole(AboutAccounts, frozen=True, kw_only=True):
    """A user may do more or less within its org from now on. What it has goes on."""

    user: str
    role: Role


class SetUnixName(AboutAccounts, frozen=True, kw_only=True):
    """A user's workloads run as this Unix user from their next attempt on; None: as the agent's own
    user."""

    user: str
    unix_name: str | None


AccountCommand = (
    CreateOrg
    | CreateUser
    | AddToken
    | RevokeToken
    | Deposit
    | Adjust
    | SetGrant
    | SetCap
    | SetOrgCap
    | SetOrgBounds
    | DescribeOrg
    | SetOrgDisabled
    | SetUserDisabled
    | DeleteUser
    | DeleteOrg
    | SetUserRole
    | SetUnixName
)
"""About orgs, users, tokens and their money."""
