"""Rows of the tables to values and back."""

from typing import Any

import msgspec
import sqlalchemy as sa

from parkade.core.ledger.accounts import Transfer, TransferKind
from parkade.ports import JournalEntry, StatedTransfer, StoredAnswer

_PLACE = ("sequence", "position", "at_us")


def row_of(value: JournalEntry | StoredAnswer) -> dict[str, Any]:
    """A value whose fields are the table's columns."""
    return msgspec.structs.asdict(value)


def row_of_transfer(stated: StatedTransfer) -> dict[str, Any]:
    """The transfer's fields beside its place in the journal."""
    place = {name: getattr(stated, name) for name in _PLACE}
    return place | msgspec.structs.asdict(stated.transfer) | {"kind": stated.transfer.kind.value}


def entry_of(row: sa.RowMapping) -> JournalEntry:
    """A row of `journal`."""
    return JournalEntry(**row)


def answer_of(row: sa.RowMapping) -> StoredAnswer:
    """A row of `answers`."""
    return StoredAnswer(**row)


def stated_of(row: sa.RowMapping) -> StatedTransfer:
    """A row of `transfers`."""
    fields = {name: value for name, value in row.items() if name not in _PLACE}
    transfer = Transfer(**fields | {"kind": TransferKind(row["kind"])})
    return StatedTransfer(
        sequence=row["sequence"], position=row["position"], at_us=row["at_us"], transfer=transfer
    )
