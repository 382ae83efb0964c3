"""Orgs, users and tokens on the wire."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict

from parkade.core.units.bounds import CAP_GPUS, DESCRIPTION_CHARACTERS, ORG_BOUND, Range
from parkade.core.units.names import SYSTEM_UNIX_NAMES, UNIX_NAME
from parkade.wire.model import Answer, Paged, Request
from parkade.wire.scalars import (
    Amount,
    GrantInterval,
    Instant,
    Money,
    Name,
    Payment,
    Reasoning,
    Reference,
    Span,
    TokenLife,
    bounded,
    named,
    written,
)

Role = Literal["operator", "owner", "member", "partner"]


def _no_system_user(name: str) -> str:
    if name in SYSTEM_UNIX_NAMES:
        raise ValueError(f"{name!r} is a system user; name a person's")
    return name


UnixName = Annotated[
    str,
    Strict(),
    named(UNIX_NAME),
    AfterValidator(_no_system_user),
]


class CreateOrg(Request):
    """A new customer."""

    org: Name


class CreateUser(Request):
    """A new person or program of an org; `unix_name`: the Unix user of its workloads."""

    user: Name
    org: Name
    role: Role = "member"
    unix_name: UnixName | None = None


class CreateToken(Request):
    """A new token; `token` is its public name, chosen by the server where it is left out. It is
    refused after `lasts`, which is no longer than the token of the request is good for; null: with
    that one. `is_read_only`: it may only look."""

    user: Reference
    token: Name | None = None
    lasts: TokenLife | None = None
    is_read_only: bool = False


class SetOrgDisabled(Request):
    """Whether an org's tokens are refused and its work ends, with the market's notice."""

    is_disabled: bool


class SetUserDisabled(Request):
    """Whether a user's tokens are refused. Its work goes on either way."""

    is_disabled: bool


class SetUserRole(Request):
    """What a user may do from now on, with the tokens that it has."""

    role: Role


class Deposit(Request):
    """Money from outside for an org."""

    amount: Payment


class Adjust(Request):
    """Money that an operator moves by hand, and why; the reason is shown to the org."""

    amount: Payment
    reason: Reasoning


class SetGrant(Request):
    """Money now and again every `every`; an amount of 0 ends it."""

    amount: Money
    every: GrantInterval


Description = Annotated[
    str, Strict(), written(Range(least=0, most=DESCRIPTION_CHARACTERS.most), r"^[^\x00-\x1f\x7f]*$")
]
OrgBound = Annotated[int, Strict(), bounded(ORG_BOUND)]


class SetOrgBounds(Request):
    """How many workloads an org may have open, submit and start in a minute. All are set: null, or
    left out, is the default."""

    open_workloads: OrgBound | None = None
    submits_per_minute: OrgBound | None = None
    starts_per_minute: OrgBound | None = None


class DescribeOrg(Request):
    """What an org is called, and whom to ask about it; one that is left out stays, empty: none."""

    title: Description | None = None
    contact: Description | None = None


class OrgBounds(Answer):
    """How many workloads an org may have open, of which `open_now` are, and submit and start in a
    minute."""

    open_workloads: int
    submits_per_minute: int
    starts_per_minute: int
    open_now: int


CapPeriod = Literal["total", "month"]


class SetCap(Request):
    """What all workloads of a user, or of an org, may cost: in all, or in each calendar month
    (UTC); and the most GPUs that they may hold at once. The whole cap is set: null, or left out,
    is no bound of that kind."""

    cap: Money | None
    period: CapPeriod = "total"
    most_gpus: Annotated[int, Strict(), bounded(CAP_GPUS)] | None = None


class SetUnixName(Request):
    """The Unix user of a user's workloads, from their next attempt on; null: the agent's own."""

    unix_name: UnixName | None


class Grant(Answer):
    """What an org gets again and again."""

    amount: Amount
    every: Span
    next: Instant


class KeptFolders(Answer):
    """Folders of workloads that have ended, with checkpoints and output; `bytes` is the least that
    they hold where `is_counted` is false."""

    folders: int
    bytes: int
    is_counted: bool


class StoppedByCap(Answer):
    """Bids with seats for which a cap leaves too little: the next clearing of their market gives
    them notice. `workloads`: the first of them, of `total`. An elastic one that can go on with
    fewer nodes is not among them."""

    workloads: tuple[str, ...]
    total: int


class Capped(Answer):
    """What workloads of a user, or of an org, may cost and have cost. `cap`: the most in
    `cap_period`, null: no cap on money. `most_gpus`: the most GPUs at once, of which they hold
    `gpus_held`; null: no cap on GPUs. Servers older than caps of orgs say none of it.
    `stops`: what a cap stops that was set just now; null in other answers, and from servers of
    before it was said."""

    cap: Amount | None = None
    cap_period: CapPeriod = "total"
    spent: Amount = Decimal(0)
    spent_this_month: Amount = Decimal(0)
    most_gpus: int | None = None
    gpus_held: int | None = None
    stops: StoppedByCap | None = None


class Org(Capped):
    """A customer, what its account holds, what it is granted, and what pools keep of it; null where
    no agent has told that yet. `disabled`: since when its tokens are refused; null: never.
    `is_cap_of_operator`: an operator set its cap, and only an operator changes it. `house`: of the
    operators' org alone, what the account `operator` holds: fees, rates, what unreserved capacity
    earned. `deleted`: since when it is gone for good; null: it is not.
    `title`: what it is called, `contact`: whom to ask about its work; null: none was set."""

    org: str
    created: Instant
    balance: Amount
    house: Amount | None = None
    grant: Grant | None = None
    disabled: Instant | None = None
    deleted: Instant | None = None
    kept: KeptFolders | None = None
    is_cap_of_operator: bool = False
    bounds: OrgBounds | None = None
    title: str | None = None
    contact: str | None = None


class Orgs(Paged):
    """Those the caller may see."""

    orgs: tuple[Org, ...]


class User(Capped):
    """A person or a program with tokens; `is_disabled`: they are refused. `deleted`: since when it
    is gone for good; null: it is not."""

    user: str
    org: str
    role: Role
    unix_name: str | None
    is_disabled: bool = False
    deleted: Instant | None = None


class Users(Paged):
    """Those the caller may see."""

    users: tuple[User, ...]


class Token(Answer):
    """A token by its public name; its secret is never shown. `pool`: it is for that pool's agent
    only. `last_used`: since the server's start; null: not since. `made_with`: the token that it was
    asked for with, and ends with at the latest; null: none that you may see."""

    token: str
    user: str
    is_revoked: bool
    pool: str | None = None
    is_read_only: bool = False
    expires: Instant | None = None
    last_used: Instant | None = None
    made_with: str | None = None


class Tokens(Paged):
    """Those the caller may see."""

    tokens: tuple[Token, ...]


class NewToken(Answer):
    """`secret` is shown once, here, and stored nowhere. `expires`: it is refused from then on;
    null: never."""

    token: str
    user: str
    secret: str
    expires: Instant | None = None


class Login(Answer):
    """A login that was begun: its person opens `address` and types `code` there, or opens
    `address_with_code`. `login` names it when what came of it is asked; it is secret.
    `ask_again`: no sooner than after that. `lasts`: for so long the code is good."""

    login: str
    code: str
    address: str
    address_with_code: str | None
    lasts: Span
    ask_again: Span


class FinishLogin(Request):
    """Asks what came of a login."""

    login: Annotated[str, Field(min_length=1, max_length=200)]


class LoginState(Answer):
    """What came of a login: a token for its user, or when to ask again."""

    new_token: NewToken | None = None
    ask_again: Span | None = None


About = Literal["notice", "at_risk", "started", "ended", "budget", "incident"]


class AddReceiver(Request):
    """Where to be told: `address` is a webhook, or an address of mail, and `about` what
    of; empty: all. `for_org`: of all the org's work, set by its owners."""

    address: Annotated[str, Field(min_length=1, max_length=2_000)]
    about: tuple[About, ...] = ()
    for_org: bool = False


class ConfirmReceiver(Request):
    """The code that was sent to an address of mail; spaces in it do not matter."""

    code: Annotated[str, Field(min_length=1, max_length=40)]


class Receiver(Answer):
    """Where a user, or an org (`user` null), is told. `secret` signs what a webhook gets; it is
    shown once, in the answer that makes the receiver. `waiting`: messages that it has not heard
    yet. `says`: why the last try failed, at `failed`; it is tried again at `again`; null: it did
    not fail since the server's start, or was heard since. `is_confirmed`: false for an address of
    mail that is sent nothing but its code."""

    receiver: str
    org: str
    user: str | None
    address: str
    about: tuple[str, ...]
    created: Instant
    secret: str | None = None
    is_confirmed: bool = True
    waiting: int = 0
    says: str | None = None
    failed: Instant | None = None
    again: Instant | None = None


class Receivers(Answer):
    """The caller's, and for an owner its org's."""

    receivers: tuple[Receiver, ...]
