"""Rows of the tables to values and back."""

from typing import Any

import msgspec
import sqlalchemy as sa

from parkade.core.ledger.accounts import Transfer, TransferKind, Use
from parkade.core.units.visible import visible
from parkade.ports import (
    DamagedAnswer,
    JournalEntry,
    Moved,
    StatedTransfer,
    StoredAnswer,
    StoreError,
)
from parkade.store.answer_digest import answer_digest

_PLACE = ("sequence", "position", "at_us")
# The columns of a transfer that is not for use: they came before it could be told by None.
_NO_USE = {"gpus": 0, "price_micros": 0, "start_us": 0, "end_us": 0}


def row_of(value: JournalEntry) -> dict[str, Any]:
    """A value whose fields are the table's columns."""
    return msgspec.structs.asdict(value)


def row_of_answer(answer: StoredAnswer) -> dict[str, Any]:
    """The answer's fields, and the digest of them."""
    fields = msgspec.structs.asdict(answer)
    return fields | {"digest": answer_digest(**fields)}


def row_of_transfer(stated: StatedTransfer) -> dict[str, Any]:
    """The transfer's fields beside its place in the journal."""
    place = {name: getattr(stated, name) for name in _PLACE}
    fields = msgspec.structs.asdict(stated.transfer) | {"kind": stated.transfer.kind.value}
    use = fields.pop("use")
    return place | fields | (_NO_USE if use is None else msgspec.structs.asdict(use))


def entry_of(row: sa.RowMapping) -> JournalEntry:
    """A row of `journal`; StoreError where a value has another type than its column."""
    entry = JournalEntry(**row)
    # SQLite keeps a value of any type in any column.
    body: object = entry.body
    digest: object = entry.digest
    if not isinstance(body, bytes) or not isinstance(digest, str):
        raise StoreError(
            f"entry {entry.sequence} of the journal is not what was written: its body or its digest"
            " has another type; restore a backup"
        )
    return entry


def answer_of(row: sa.RowMapping) -> StoredAnswer:
    """A row of `answers`; DamagedAnswer where it is not what was written."""
    fields = {name: value for name, value in row.items() if name != "digest"}
    try:
        is_whole = answer_digest(**fields) == row["digest"]
    except (TypeError, ValueError, msgspec.MsgspecError):
        # SQLite keeps a value of any type in any column.
        is_whole = False
    if not is_whole:
        raise DamagedAnswer(
            f"the answer kept for user {visible(str(row['principal']))[:80]} under the idempotency"
            f" key {visible(str(row['key']))[:80]!r} is not what was written: the table `answers`"
            " was changed; restore a backup"
        )
    return StoredAnswer(**fields)


def stated_of(row: sa.RowMapping) -> StatedTransfer:
    """A row of `transfers`."""
    fields = {name: value for name, value in row.items() if name not in (*_PLACE, *_NO_USE)}
    use = Use(**{name: row[name] for name in _NO_USE}) if row["gpus"] else None
    kind = _kind_of(row["kind"], f"of entry {row['sequence']}")
    transfer = Transfer(**fields | {"kind": kind, "use": use})
    return StatedTransfer(
        sequence=row["sequence"], position=row["position"], at_us=row["at_us"], transfer=transfer
    )


def moved_of(kind: str, workload: str | None, micros: int, gpu_us: int, is_paid: bool) -> Moved:
    """What was added up over rows of `transfers`."""
    return Moved(
        kind=_kind_of(kind, f"for {workload}"),
        is_paid=is_paid,
        workload=workload,
        micros=micros,
        gpu_us=gpu_us,
    )


def _kind_of(text: str, which: str) -> TransferKind:
    if text not in set(TransferKind):
        raise StoreError(
            f"a statement line {which} is of no known kind: the table"
            " `transfers` was changed; restore a backup"
        )
    return TransferKind(text)
