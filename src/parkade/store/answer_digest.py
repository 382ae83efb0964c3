"""The digest of an answer that is kept for repeated requests: it binds every field of its row.

It stands for itself and is in no chain, because answers are dropped after a week. So it tells that
a row is not what was written, and not that a row is missing.
"""

import hashlib

import msgspec

_encode = msgspec.json.Encoder().encode


def answer_digest(
    *, principal: str, key: str, request_digest: str, body: bytes, sequence: int, at_us: int
) -> str:
    """SHA-256 of all fields, each on a place of its own, the encoded outcome last; hexadecimal."""
    fields = (principal, key, request_digest, sequence, at_us)
    return hashlib.sha256(_encode(fields) + b"\n" + body).hexdigest()
