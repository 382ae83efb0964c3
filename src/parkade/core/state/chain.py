"""The chain of digests through the journal: each entry carries that of all before it.

A flipped bit, an edited transfer or an entry that was left out changes every digest after it, so
one digest kept apart from the journal (`store.head`) is enough to check the whole of it, by
computing the chain again from the first entry, which is chained to `GENESIS`. A start computes it
from the newest snapshot on and reads nothing before that; `control.whole` computes all of it. The
chain covers the journal alone: statement lines and snapshots are compared with it. Decision
record 9.
"""

import hashlib

GENESIS = "0" * 64
"""The digest before the first entry."""


def link(
    before: str, *, sequence: int, epoch: int, at_us: int, type: str, version: int, body: bytes
) -> str:
    """The digest of the entry after the one with the digest `before`: SHA-256, hexadecimal.

    Every field is bound, each on a place of its own, the encoded event last.
    """
    assert len(before) == len(GENESIS) and sequence > 0
    assert "\n" not in type, "line breaks separate the fields"
    head = f"{before}\n{sequence}\n{epoch}\n{at_us}\n{type}\n{version}\n"
    return hashlib.sha256(head.encode() + body).hexdigest()
