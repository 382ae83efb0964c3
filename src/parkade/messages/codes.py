"""Codes that confirm an address of mail: its owner types in what came there.

A code is eight digits. Its digest is kept with the receiver, the code itself only in the message,
until that is sent or given up. It is good for a day and for five tries; then another has to be
sent, which the rates bound. So one that cannot read the mail guesses at most fifty times an hour
among a hundred million.
"""

import hashlib
import hmac
import secrets

import msgspec
from msgspec.structs import replace

from parkade.core.units.time import DAY_US

LASTS_US = DAY_US
TRIES = 5
DIGITS = 8


class Unconfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """An address that was sent a code: the digest, until when the code is good, and how often it
    may still be tried."""

    digest: str
    until_us: int
    tries_left: int


def new_code(receiver: str, now_us: int) -> tuple[str, Unconfirmed]:
    """A code, and what is kept of it."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    until_us = now_us + LASTS_US
    return code, Unconfirmed(digest=_digest(receiver, code), until_us=until_us, tries_left=TRIES)


def is_spent(unconfirmed: Unconfirmed, now_us: int) -> bool:
    """Whether no code fits any more."""
    return now_us >= unconfirmed.until_us or unconfirmed.tries_left == 0


def tried(receiver: str, unconfirmed: Unconfirmed, code: str) -> Unconfirmed | None:
    """What is kept after a try of a code that is not spent; None: it was the right one."""
    assert unconfirmed.tries_left > 0, "a spent code is not tried"
    digits = "".join(each for each in code if not each.isspace() and each != "-")
    if hmac.compare_digest(_digest(receiver, digits), unconfirmed.digest):
        return None
    return replace(unconfirmed, tries_left=unconfirmed.tries_left - 1)


def _digest(receiver: str, code: str) -> str:
    return hashlib.sha256(f"{receiver} {code}".encode()).hexdigest()
