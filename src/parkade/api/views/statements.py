"""Statements as shown: each transfer from the account's side."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from parkade.api.translate.scalars import amount, amount_or_none, instant
from parkade.control.archive import AccountStatement
from parkade.core.ledger.accounts import TransferKind, Use
from parkade.core.reservations.missing import MissingNode
from parkade.ports import StatedTransfer
from parkade.wire import money as wire

# An owner sees what its capacity earned, not who the guest was.
OF_GUESTS = frozenset({TransferKind.PAYOUT})


class GuestUse(NamedTuple):
    """What a guest held and paid per GPU-hour, over the time for which the owner is paid. `price`:
    None where it changed within."""

    gpus: int
    price_micros: int | None
    start_us: int
    end_us: int


def _uses(charges: Iterable[StatedTransfer]) -> dict[tuple[int, str | None], GuestUse]:
    """By entry and workload, all charges of that entry as one."""
    found: dict[tuple[int, str | None], GuestUse] = {}
    for charge in charges:
        use, key = charge.transfer.use, (charge.sequence, charge.transfer.workload)
        if use is None:
            continue
        before = found.get(key) or GuestUse(use.gpus, use.price_micros, use.start_us, use.end_us)
        found[key] = GuestUse(
            gpus=max(before.gpus, use.gpus),
            price_micros=use.price_micros if use.price_micros == before.price_micros else None,
            start_us=min(before.start_us, use.start_us),
            end_us=max(before.end_us, use.end_us),
        )
    return found


def statement(
    account: str,
    stated: AccountStatement,
    *,
    is_operator: bool,
    missing: Mapping[int, tuple[MissingNode, ...]],
) -> wire.Statement:
    """All lines and their sums; whole micro-units, so the sums are exact. `missing`: by sequence,
    what credits rest on."""
    lines = stated.transfers
    guests = _uses(stated.guests)
    received = sum(line.transfer.micros for line in lines if line.transfer.credit == account)
    paid = sum(line.transfer.micros for line in lines if line.transfer.debit == account)
    return wire.Statement(
        account=account,
        balance=amount(stated.balance),
        opening=amount(stated.opening),
        closing=amount(stated.opening + received - paid),
        received=amount(received),
        paid=amount(paid),
        transfers=tuple(
            _line(line, account, missing, guests, is_operator=is_operator) for line in lines
        ),
    )


def _line(
    line: StatedTransfer,
    account: str,
    missing: Mapping[int, tuple[MissingNode, ...]],
    guests: Mapping[tuple[int, str | None], GuestUse],
    *,
    is_operator: bool,
) -> wire.Transfer:
    transfer = line.transfer
    is_paid = transfer.debit == account
    is_shown = is_operator or transfer.kind not in OF_GUESTS or is_paid
    use: Use | GuestUse | None = transfer.use
    if transfer.kind is TransferKind.PAYOUT:
        use = guests.get((line.sequence, transfer.workload))
    is_credit = transfer.kind is TransferKind.CREDIT
    return wire.Transfer(
        sequence=line.sequence,
        at=instant(line.at_us),
        kind=transfer.kind.value,
        amount=amount(-transfer.micros if is_paid else transfer.micros),
        other=transfer.credit if is_paid else transfer.debit,
        reservation=transfer.reservation,
        workload=transfer.workload if is_shown else None,
        attempt=transfer.attempt if is_shown else None,
        gpus=use.gpus if use else 0,
        price=amount_or_none(use.price_micros) if use else None,
        start=instant(use.start_us) if use else None,
        end=instant(use.end_us) if use else None,
        missing=tuple(
            wire.MissingNode(
                node=each.node,
                since=instant(each.since_us),
                health=each.health.value,
                why=each.why,
                incident=each.incident,
            )
            for each in (missing.get(line.sequence, ()) if is_credit else ())
        ),
    )
