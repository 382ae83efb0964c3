"""Turns a person that a provider knows into a user with a token, which expires.

A user that there is must be of the org that the rules name, and its role no higher than theirs; one
that there is not is made. The token is like any other: listed, revoked, and refused once it
expires. Logins by device code wait here, in memory, under a random name that their beginner alone
was told; what came of one is told again for a minute, for an answer may be lost.
"""

import secrets
import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import structlog
from starlette.requests import Request

from parkade.api.context import digest_of, new_token
from parkade.api.problems import ProblemError, problem, refused
from parkade.control.plane import Plane
from parkade.core.state import events
from parkade.core.state.commands import AddToken, CreateUser
from parkade.core.state.people import Role, User
from parkade.core.state.world import World
from parkade.core.steps.names import full_name
from parkade.core.units.names import scoped
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import SECOND_US
from parkade.identity.door import DeviceCode, Provider
from parkade.identity.errors import IdentityError, Pending, Stranger
from parkade.identity.rules import Person, person_of

MOST_WAITING = 512
MOST_OF_AN_ADDRESS = 16
TOLD_AGAIN_S = 60.0
_RANKS = {Role.MEMBER: 0, Role.OWNER: 1, Role.OPERATOR: 2}

_log = structlog.get_logger(__name__)


class NewLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A user's new token; `secret` goes to the person and is kept nowhere else."""

    token: str
    user: str
    secret: str
    digest: str
    expires_us: int | None


class _Waiting(msgspec.Struct, kw_only=True):
    code: DeviceCode
    address: str
    ends_s: float
    asks_at_s: float
    done: NewLogin | None = None


def logins_of(request: Request) -> "Logins":
    """Those of the request's app."""
    return cast(Logins, request.app.state.logins)


class Logins:
    """`provider` None: the server has none. Used in one event loop."""

    def __init__(self, plane: Plane, provider: Provider | None) -> None:
        self._plane = plane
        self._provider = provider
        self._waiting: dict[str, _Waiting] = {}
        self._beginning: list[str] = []

    @property
    def is_offered(self) -> bool:
        """Whether people can log in by a provider."""
        return self._provider is not None

    @property
    def provider(self) -> Provider:
        """The provider; the problem `not_found` where there is none."""
        if self._provider is None:
            raise problem("not_found", "this server has no OIDC provider; log in with a token")
        return self._provider

    async def begin(self, address: str) -> tuple[str, DeviceCode]:
        """A login by device code, and the secret name to ask for it by. The problem `too_many`
        where too many begin at this moment. Where too many wait, of the address or in all, the one
        that was asked about longest ago is forgotten: people's programs ask every few seconds."""
        provider, now_s = self.provider, time.monotonic()
        begin = self._beginning
        if len(begin) >= MOST_WAITING or begin.count(address) >= MOST_OF_AN_ADDRESS:
            raise problem("too_many", "too many logins begin at this moment; try again")
        self._beginning.append(address)
        try:
            code = await _asked(provider.begin_device())
        finally:
            self._beginning.remove(address)
        name = secrets.token_urlsafe(32)
        self._waiting[name] = _Waiting(
            code=code,
            address=address,
            ends_s=now_s + code.expires_in,
            asks_at_s=now_s + code.interval,
        )
        self._make_room(address, now_s)
        return name, code

    def _make_room(self, address: str, now_s: float) -> None:
        """`_waiting` is in the order in which its logins were asked about last."""
        self._waiting = {name: it for name, it in self._waiting.items() if it.ends_s > now_s}
        of_address = [name for name, it in self._waiting.items() if it.address == address]
        for name in of_address[: max(0, len(of_address) - MOST_OF_AN_ADDRESS)]:
            del self._waiting[name]
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]

    async def finish(self, name: str) -> NewLogin | float:
        """What came of a login: a token, or in how many seconds to ask again."""
        waiting, now_s = self._waiting.get(name), time.monotonic()
        if waiting is None or waiting.ends_s <= now_s:
            raise problem("not_found", "this login is over, or was never begun; log in again")
        self._waiting[name] = self._waiting.pop(name)
        if waiting.done is not None:
            return waiting.done
        if waiting.asks_at_s > now_s:
            return waiting.asks_at_s - now_s
        # Another question meanwhile waits in its turn: the provider is asked once an interval.
        waiting.asks_at_s = now_s + waiting.code.interval
        try:
            claims = await _asked(self.provider.finish_device(waiting.code))
            waiting.done = await self.log_in(claims)
        except Pending as pending:
            waiting.asks_at_s = now_s + pending.wait_s
            return pending.wait_s
        except ProblemError:
            self._waiting.pop(name, None)
            raise
        waiting.ends_s = min(waiting.ends_s, now_s + TOLD_AGAIN_S)
        return waiting.done

    async def log_in(self, claims: Mapping[str, Any]) -> NewLogin:
        """The token of the person of these claims; the problem `denied` where it is none here."""
        file = self.provider.file
        try:
            person = person_of(file, claims)
        except Stranger as error:
            _log.warning("login_refused", why=str(error), subject=str(claims["sub"])[:200])
            raise problem("denied", str(error)) from None
        user = await self._user(person)
        secret = new_token()
        command = AddToken(
            by=None,
            token=scoped(f"oidc-{secrets.token_hex(6)}", person.org),
            user=user,
            digest=digest_of(secret),
            lasts_us=int(file.token_lasts.total_seconds() * SECOND_US),
        )
        outcome = await self._plane.execute(command)
        if isinstance(outcome, Refusal):
            raise refused(outcome)
        (added,) = (each for each in outcome.events if isinstance(each, events.TokenAdded))
        _log.info("logged_in", user=user, subject=person.subject, token=added.token.token)
        return NewLogin(
            token=added.token.token,
            user=user,
            secret=secret,
            digest=command.digest,
            expires_us=added.token.expires_us,
        )

    async def _user(self, person: Person) -> str:
        """The name of the person's user, which is made where there is none."""
        for _ in range(2):
            found = await self._plane.read(lambda world, _: _found(world, person))
            if isinstance(found, Refusal):
                raise refused(found)
            if found is not None:
                return found.user
            name = person.name if person.role == "operator" else scoped(person.name, person.org)
            made = await self._plane.execute(
                CreateUser(
                    by=None,
                    user=name,
                    org=person.org,
                    role=Role(person.role),
                    unix_name=person.unix_name,
                )
            )
            if not isinstance(made, Refusal):
                return name
            if made.reason is not Reason.ALREADY_EXISTS:
                raise refused(made)
        raise problem("conflict", f"the name {person.name} is another's; ask the operator")


def _found(world: World, person: Person) -> User | Refusal | None:
    """The person's user, None where there is none; a refusal where it may not log in so."""
    records = world.records
    if person.org not in records.orgs:
        return Refusal(reason=Reason.NOT_FOUND, detail=f"there is no org {person.org} here")
    user = records.users.get(full_name(records.users, person.name, org=person.org))
    if user is None or user.org != person.org:
        return None
    if user.is_disabled or records.orgs[user.org].disabled_us is not None:
        return Refusal(reason=Reason.DENIED, detail=f"the user {user.user} is disabled")
    wanted = Role(person.role)
    both_ranked = user.role in _RANKS and wanted in _RANKS
    may = _RANKS[user.role] <= _RANKS[wanted] if both_ranked else user.role is wanted
    if not may:
        return Refusal(
            reason=Reason.DENIED,
            detail=f"{user.user} is {user.role.value} here, and the provider's rule says"
            f" {wanted.value}: log in with a token, or ask the operator",
        )
    return user


async def _asked(question: Any) -> Any:
    """What the provider says; its failures as problems that a person can read."""
    try:
        return await question
    except IdentityError as error:
        _log.warning("login_failed", why=str(error))
        raise problem("unauthenticated", str(error)) from None
