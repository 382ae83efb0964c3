"""The user of each good token: a map that the writer publishes at each commit, for any thread.

So a request is authenticated without waiting for the writer. Between that and its turn the token
may be revoked or expire: the turn looks again (`cycle.Asked.token`).
"""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from parkade.control.bell import Bell
from parkade.control.cycle import Committed
from parkade.core.state import events
from parkade.core.state.people import Role, Token
from parkade.core.state.world import World
from parkade.core.steps.permissions import READS, Read, is_allowed


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """The user of a token. `token` is the token's public name; `pool` is set for an agent's, which
    may run that pool and see nothing else. `is_read_only`, `expires_us` as in `Token`."""

    user: str
    org: str
    role: Role
    token: str
    pool: str | None
    is_read_only: bool = False
    expires_us: int | None = None

    @property
    def is_operator(self) -> bool:
        """Whether it may see everything."""
        return self.role is Role.OPERATOR and self.pool is None

    def may_read(self, read: Read, *, org: str | None = None, user: str | None = None) -> bool:
        """Whether it has the permission for it; `org` and `user`: whose it is. An agent's token has
        none but for its own pool."""
        if self.pool is not None:
            return False
        is_own, is_self = self.org == org, self.user == user
        return is_allowed(READS[read], self.role, is_own_org=is_own, is_self=is_self)

    def may_see(self, org: str) -> bool:
        """Whether an org's things are its to see."""
        return self.may_read(Read.ORG, org=org)


class Viewers:
    """Viewers by their token's digest, without those of revoked tokens and disabled users.

    Built from the world once, then kept up at the cost of the tokens that a commit changed. The
    writer replaces one entry at a time, and entries are immutable, so a reader in another thread
    sees each token as it was before or after a commit, never between.
    """

    def __init__(self, world: World) -> None:
        self.now_us = world.records.now_us
        """The present of the writer's last turn, a second ago at most: by it tokens expire here."""
        self._by_digest: dict[str, Viewer] = {}
        self.last_used_us: dict[str, int] = {}
        """By a token's public name, since the server's start."""
        self._changes = 0
        self._changed = Bell()
        for token in world.records.tokens.values():
            self._look_at(world, token)

    def find(self, digest: str) -> Viewer | None:
        """The viewer of a token's digest, None for one that is not good. Notes its use."""
        found = self._by_digest.get(digest)
        if found is None or (found.expires_us is not None and self.now_us >= found.expires_us):
            return None
        self.last_used_us[found.token] = self.now_us
        return found

    def publish(self, world: World, committed: Committed) -> None:
        """Takes in what was committed; for the writer's thread."""
        changed = [token for _, event in committed for token in _changed_tokens(world, event)]
        for token in changed:
            self._look_at(world, token)
        if changed:
            self._changes += 1
            self._changed.ring()

    async def change(self, seen: int, *, within_s: float) -> int:
        """Returns once tokens changed after what was `seen`, or after the time given; the number of
        changes until now. Tokens that expire make no change."""
        await self._changed.wait_until(lambda: self._changes != seen, timeout_s=within_s)
        return self._changes

    def _look_at(self, world: World, token: Token) -> None:
        user = world.records.users[token.user]
        if not token.is_good(user, world.records.orgs[user.org], world.records.now_us):
            self._by_digest.pop(token.digest, None)
            return
        self._by_digest[token.digest] = Viewer(
            user=user.user,
            org=user.org,
            role=user.role,
            token=token.token,
            pool=token.pool,
            is_read_only=token.is_read_only,
            expires_us=token.expires_us,
        )


def _changed_tokens(world: World, event: events.AnyEvent) -> Iterable[Token]:
    """The tokens that an event may have changed. Only events of accounts do; one that disables a
    user or an org, or sets a role, costs a pass over all tokens."""
    if not isinstance(event, events.AboutAccounts):
        return ()
    tokens = world.records.tokens
    match event:
        case events.TokenAdded(token=token):
            return (token,)
        case events.TokenRevoked(token=name):
            return (tokens[name],)
        case (
            events.UserDisabled(user=user)
            | events.UserRoleSet(user=user)
            | events.UserDeleted(user=user)
        ):
            return tuple(token for token in tokens.values() if token.user == user)
        case events.OrgDisabled(org=org):
            users = world.records.users
            return tuple(token for token in tokens.values() if users[token.user].org == org)
        case events.OrgCreated() | events.UserCreated() | events.GrantSet() | events.CapSet():
            return ()
        case events.UnixNameSet() | events.OrgCapSet() | events.CapNoted():
            return ()
        case events.OrgBoundsSet() | events.OrgDescribed() | events.OrgDeleted():
            return ()
        case _:
            assert_never(event)
