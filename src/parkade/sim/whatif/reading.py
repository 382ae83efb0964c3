"""All events of a journal's store, checked link by link, and its last digest."""

from parkade.control.recover import check_link
from parkade.core.state import events
from parkade.core.state.chain import GENESIS
from parkade.core.state.codec import decode_event
from parkade.ports import Store

PAGE = 2_000


def read_journal(store: Store) -> tuple[list[events.AnyEvent], str]:
    """The events up to now and the digest at their end; StoreError where the chain is broken or an
    event is of a newer program. What a server adds meanwhile may be left out."""
    found: list[events.AnyEvent] = []
    digest, sequence = GENESIS, 0
    while entries := store.entries(after=sequence, limit=PAGE):
        for entry in entries:
            digest = check_link(entry, sequence, digest)
            sequence = entry.sequence
            found.append(decode_event(entry.body, entry.version))
    return found, digest
