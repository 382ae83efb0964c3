"""Tells what a journal refused that a backup of it lets in again: tokens, users and orgs.

Only of a backup that the journal goes on from: of another one, or a journal that cannot be read,
nothing is known, which is not the same as nothing. What was made after the backup is not in it,
so that it needs no word.
"""

from collections.abc import Iterator

import msgspec

from parkade.core.state import events
from parkade.core.state.codec import decode_event
from parkade.ports import JournalEntry, Store

PAGE = 1_000
KINDS = (
    *("OrgCreated", "UserCreated", "TokenAdded"),
    *("TokenRevoked", "UserDisabled", "OrgDisabled", "UserDeleted", "OrgDeleted"),
)


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """Names, by kind: revoked tokens, users and orgs that were disabled or deleted."""

    tokens: tuple[str, ...]
    users: tuple[str, ...]
    orgs: tuple[str, ...]


def withdrawn_after(store: Store, last: JournalEntry) -> Withdrawn | None:
    """What a journal refuses that did not at the backup's `last` entry; None: it does not go on
    from there. Cost grows with the entries of eight kinds since."""
    found = store.entries(after=last.sequence - 1, limit=1)
    if not found or found[0].digest != last.digest:
        return None
    made: set[tuple[str, str]] = set()
    refused: dict[tuple[str, str], bool] = {}
    for kind in KINDS:
        for event in _since(store, kind, last):
            match event:
                case events.TokenAdded(token=token):
                    made.add(("token", token.token))
                case events.UserCreated(user=user):
                    made.add(("user", user.user))
                case events.OrgCreated(org=org):
                    made.add(("org", org.org))
                case events.TokenRevoked(token=name):
                    refused["token", name] = True
                case events.UserDisabled(user=name, is_disabled=is_disabled):
                    refused["user", name] = is_disabled
                case events.OrgDisabled(org=name, is_disabled=is_disabled):
                    refused["org", name] = is_disabled
                case events.UserDeleted(user=name):
                    refused["user", name] = True
                case events.OrgDeleted(org=name):
                    refused["org", name] = True
                case _:
                    raise AssertionError(f"{kind} is none of those that are asked for")
    left = [one for one, is_refused in refused.items() if is_refused and one not in made]
    return Withdrawn(
        tokens=tuple(name for what, name in left if what == "token"),
        users=tuple(name for what, name in left if what == "user"),
        orgs=tuple(name for what, name in left if what == "org"),
    )


def _since(store: Store, kind: str, last: JournalEntry) -> Iterator[events.AnyEvent]:
    after = last.sequence
    while page := store.entries_of(kind, after=after, limit=PAGE):
        yield from (decode_event(entry.body, entry.version) for entry in page)
        after = page[-1].sequence
