"""What accounts moved, asked of the table `transfers`: lines, sums and balances.

Each side of an account has an index of its own; a question costs as much as the transfers of the
account are many, unless it says otherwise.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from parkade.core.ledger.accounts import TransferKind
from parkade.core.units.time import SECOND_US
from parkade.ports import Moved, StatedTransfer
from parkade.store.rows import moved_of, stated_of
from parkade.store.tables import transfers

Conditions = Sequence[sa.ColumnElement[bool]]
_SIDES = ((transfers.c.debit, True), (transfers.c.credit, False))
_AT_ONCE = 400
_PAID_BY_USERS = tuple(kind.value for kind in TransferKind if kind.is_paid_by_user)
# A sum of amounts in two parts: SQLite has no whole numbers beyond 64 bits.
_PART = 1_000_000_000
_PARTS = (
    sa.func.sum(transfers.c.micros // _PART),
    sa.func.sum(transfers.c.micros % _PART),
)
# GPU time for the same reason: whole seconds, and what is left of each.
_LENGTH = transfers.c.end_us - transfers.c.start_us
_GPU_TIME = (
    sa.func.sum(transfers.c.gpus * (_LENGTH // SECOND_US)),
    sa.func.sum(transfers.c.gpus * (_LENGTH % SECOND_US)),
)


def within(from_us: int | None, to_us: int | None, until: int) -> list[sa.ColumnElement[bool]]:
    """Of the entries up to `until`, those in [from_us, to_us)."""
    found: list[sa.ColumnElement[bool]] = [transfers.c.sequence <= until]
    if from_us is not None:
        found.append(transfers.c.at_us >= from_us)
    if to_us is not None:
        found.append(transfers.c.at_us < to_us)
    return found


def behind(place: tuple[int, int]) -> list[sa.ColumnElement[bool]]:
    """Those that follow a (sequence, position)."""
    sequence, position = place
    is_later = sa.and_(transfers.c.sequence == sequence, transfers.c.position > position)
    # The first alone lets the index be used.
    return [
        transfers.c.sequence >= sequence,
        sa.or_(transfers.c.sequence > sequence, is_later),
    ]


def lines(
    connection: sa.Connection, account: str, conditions: Conditions, *, limit: int | None = None
) -> Sequence[StatedTransfer]:
    """An account's transfers in the journal's order. With a limit, no more than so many of either
    side are read."""
    place = (transfers.c.sequence, transfers.c.position)
    sides = []
    for side, _ in _SIDES:
        one = sa.select(transfers).where(side == account, *conditions)
        if limit is not None:
            one = sa.select(one.order_by(*place).limit(limit).subquery())
        sides.append(one)
    both = sa.union_all(*sides).subquery()
    query = sa.select(both).order_by(both.c.sequence, both.c.position).limit(limit)
    return [stated_of(row) for row in connection.execute(query).mappings()]


def charges(connection: sa.Connection, sequences: Sequence[int]) -> Sequence[StatedTransfer]:
    """What users paid for work in these entries, in the journal's order; a few hundred entries are
    asked for at a time."""
    asked = sorted(set(sequences))
    found: list[StatedTransfer] = []
    for begin in range(0, len(asked), _AT_ONCE):
        some = asked[begin : begin + _AT_ONCE]
        query = sa.select(transfers).where(
            transfers.c.sequence.in_(some), transfers.c.kind.in_(_PAID_BY_USERS)
        )
        ordered = query.order_by(transfers.c.sequence, transfers.c.position)
        found += [stated_of(row) for row in connection.execute(ordered).mappings()]
    return found


def moved(
    connection: sa.Connection, account: str, conditions: Conditions, *, limit: int
) -> Sequence[Moved]:
    """An account's transfers added up by kind and workload, in that order; at most so many sums."""
    key = (transfers.c.kind, transfers.c.workload)
    found = []
    for side, is_paid in _SIDES:
        sums = sa.select(*key, *_PARTS, *_GPU_TIME).where(side == account, *conditions)
        rows = connection.execute(sums.group_by(*key).limit(limit))
        for kind, workload, whole, rest, seconds, fraction in rows:
            micros, gpu_us = _added(whole, rest, _PART), _added(seconds, fraction, SECOND_US)
            found.append(moved_of(kind, workload, micros, gpu_us, is_paid))
    found.sort(key=lambda it: (it.kind, it.workload or "", it.is_paid))
    return found[:limit]


def balance(connection: sa.Connection, account: str, conditions: Conditions) -> int:
    """What an account received less what it paid, in micro-units."""
    total = 0
    for side, is_paid in _SIDES:
        query = sa.select(*_PARTS).where(side == account, *conditions)
        micros = _added(*connection.execute(query).one(), _PART)
        total += -micros if is_paid else micros
    return total


def account_sums(connection: sa.Connection, until: int | None) -> Mapping[str, int]:
    """The same of each account: in one pass a side."""
    sums: Counter[str] = Counter()
    within = () if until is None else (transfers.c.sequence <= until,)
    for side, is_paid in _SIDES:
        query = sa.select(side, *_PARTS).where(*within).group_by(side)
        for account, whole, rest in connection.execute(query):
            micros = _added(whole, rest, _PART)
            sums[account] += -micros if is_paid else micros
    return sums


def _added(whole: Any, rest: Any, part: int) -> int:
    """The sum of its parts; none of no rows. PostgreSQL adds whole numbers up to a decimal."""
    return int(whole or 0) * part + int(rest or 0)
