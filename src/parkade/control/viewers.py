"""The user of each token: a map that the writer publishes after each commit, read by any thread.

So a request is authenticated without waiting for the writer. Between that and its turn the token
may be revoked: the turn looks again (`cycle.Asked.token`).
"""

from typing import assert_never

import msgspec

from parkade.control.cycle import Committed
from parkade.core.state import events
from parkade.core.state.people import Role, Token
from parkade.core.state.world import World
from parkade.core.steps.permissions import READS, Read, is_allowed


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """The user of a token. `token` is the token's public name; `pool` is set for an agent's, which
    may run that pool and see nothing else."""

    user: str
    org: str
    role: Role
    token: str
    pool: str | None

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
    """Viewers by their token's digest, revoked ones left out.

    Built from the world once, then kept up at the cost of the tokens that a commit changed. The
    writer replaces one entry at a time, and entries are immutable, so a reader in another thread
    sees each token as it was before or after a commit, never between.
    """

    def __init__(self, world: World) -> None:
        self._by_digest: dict[str, Viewer] = {}
        for token in world.records.tokens.values():
            self._look_at(world, token)

    def find(self, digest: str) -> Viewer | None:
        """The viewer of a token's digest, None for an unknown or revoked one."""
        return self._by_digest.get(digest)

    def publish(self, world: World, committed: Committed) -> None:
        """Takes in what was committed; for the writer's thread."""
        for _, event in committed:
            name = _changed_token(event)
            if name is not None:
                self._look_at(world, world.records.tokens[name])

    def _look_at(self, world: World, token: Token) -> None:
        if token.is_revoked:
            self._by_digest.pop(token.digest, None)
            return
        user = world.records.users[token.user]
        self._by_digest[token.digest] = Viewer(
            user=user.user, org=user.org, role=user.role, token=token.token, pool=token.pool
        )


def _changed_token(event: events.AnyEvent) -> str | None:
    """The token that an event added or revoked. Only events of accounts do."""
    if not isinstance(event, events.AccountEvent):
        return None
    match event:
        case events.TokenAdded(token=token):
            return token.token
        case events.TokenRevoked(token=name):
            return name
        case events.OrgCreated() | events.UserCreated() | events.GrantSet() | events.CapSet():
            return None
        case events.UnixNameSet():
            return None
        case _:
            assert_never(event)
