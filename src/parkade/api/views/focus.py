"""An org's charges as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification.

Each line of the org's statement that is a cost is one row: what it paid is positive, what it got
back or earned negative. What funds the account (a deposit, a grant, a disbursement) is none. Costs
are the ledger's own micro-units; quantity times unit price is off by less than one of them, as
fractions are carried on to the next charge.

Names and rules of the columns: https://focus.finops.org, version 1.2. Columns of our own begin with
`x_`, as it asks.
"""

import calendar
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from parkade.api.translate.scalars import instant
from parkade.control.origins import Origin
from parkade.core.ledger.accounts import Transfer, TransferKind, market_of
from parkade.core.units.money import MICROSECONDS_PER_HOUR, format_amount
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.spec import CapacityKind
from parkade.ports import StatedTransfer

COLUMNS = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType"),
    *("BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart"),
    *("ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency"),
    *("ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit"),
    *("ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceIssuerName"),
    *("ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit"),
    *("ProviderName", "PublisherName", "RegionId", "RegionName"),
    *("ResourceId", "ResourceName", "ResourceType"),
    *("ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuPriceId"),
    *("SubAccountId", "SubAccountName", "SubAccountType", "Tags"),
    *("x_Attempt", "x_Kind", "x_LedgerPosition", "x_LedgerSequence", "x_Market"),
)
Row = dict[str, str | None]
GPU_HOURS = "GPU-Hours"
FUNDING = frozenset({TransferKind.DEPOSIT, TransferKind.GRANT, TransferKind.DISBURSEMENT})
"""What moves money in and out of an org's account without being a cost."""


class Category(NamedTuple):
    """How FOCUS classifies a kind of transfer."""

    category: str
    frequency: str
    service: str
    says: str


CATEGORIES = {
    TransferKind.USAGE: Category("Usage", "Usage-Based", "", "Use"),
    TransferKind.LATE_START: Category(
        "Usage", "Usage-Based", "", "Seats held before the first process"
    ),
    TransferKind.MINIMUM_CHARGE: Category(
        "Usage", "Usage-Based", "", "Minimum charge for work that others left for"
    ),
    TransferKind.RESERVATION: Category("Purchase", "Recurring", "reservation", "Reserved nodes"),
    TransferKind.CREDIT: Category(
        "Credit", "One-Time", "reservation", "Credit for reserved nodes that were missing"
    ),
    TransferKind.REFUND: Category("Adjustment", "One-Time", "refund", "Refund by the operator"),
    TransferKind.PAYOUT: Category(
        "Adjustment", "Usage-Based", "lending", "Income from lent capacity"
    ),
}
PRICING = {
    CapacityKind.SPOT.value: "Dynamic",
    CapacityKind.ON_DEMAND.value: "Standard",
    CapacityKind.RESERVATION.value: "Standard",
}
"""*Committed* is what a commitment discount makes cheaper; a purchase at the agreed rate is not."""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are: the market of a reservation, the site of a market, as far as they are still
    known; and the unit of money."""

    markets: Mapping[str, str]
    sites: Mapping[str, str]
    unit: str


def is_cost(line: StatedTransfer) -> bool:
    """Whether a line of an org's statement is a cost, or the return of one."""
    return line.transfer.kind not in FUNDING


def row(line: StatedTransfer, org: str, account: str, origin: Origin | None, at: Places) -> Row:
    """The row of a line, in `COLUMNS`; None where there is no value."""
    transfer = line.transfer
    kind = CATEGORIES[transfer.kind]
    micros = transfer.micros if transfer.debit == account else -transfer.micros
    return {
        **dict.fromkeys(COLUMNS),
        **_account(line, org, at),
        **_cost(micros, transfer),
        **_period(line),
        **_thing(transfer, kind, origin, at),
        "ChargeCategory": kind.category,
        "ChargeDescription": _says(transfer, kind),
        "ChargeFrequency": kind.frequency,
        "x_Attempt": transfer.attempt,
        "x_Kind": transfer.kind.value,
        "x_LedgerPosition": str(line.position),
        "x_LedgerSequence": str(line.sequence),
    }


def _account(line: StatedTransfer, org: str, at: Places) -> Row:
    begins = instant(line.at_us).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    days = calendar.monthrange(begins.year, begins.month)[1]
    first_us = int(begins.timestamp()) * SECOND_US
    assert first_us <= line.at_us
    return {
        "BillingAccountId": org,
        "BillingAccountName": org,
        "BillingAccountType": "Org",
        "BillingCurrency": at.unit,
        "BillingPeriodStart": _stamp(first_us),
        "BillingPeriodEnd": _stamp(first_us + days * 86_400 * SECOND_US),
        "InvoiceIssuerName": "Parkade",
        "ProviderName": "Parkade",
        "PublisherName": "Parkade",
    }


def _cost(micros: int, transfer: Transfer) -> Row:
    cost = format_amount(micros)
    found: Row = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost)
    use = transfer.use
    if use is None:
        return found
    gpu_us = use.gpus * (use.end_us - use.start_us)
    hours = f"{Decimal(gpu_us) / MICROSECONDS_PER_HOUR:.15f}".rstrip("0").rstrip(".")
    price = format_amount(use.price_micros)
    return found | {
        "PricingQuantity": hours,
        "PricingUnit": GPU_HOURS,
        "ContractedUnitPrice": price,
        "ListUnitPrice": price,
        "ConsumedQuantity": hours if transfer.kind.is_paid_by_user else None,
        "ConsumedUnit": GPU_HOURS if transfer.kind.is_paid_by_user else None,
    }


def _period(line: StatedTransfer) -> Row:
    """Whole seconds, as FOCUS writes instants; one that moved in an instant has a second."""
    use = line.transfer.use
    start_us = line.at_us if use is None else use.start_us
    end_us = start_us if use is None else use.end_us
    return {
        "ChargePeriodStart": _stamp(start_us),
        "ChargePeriodEnd": _stamp(max(end_us, start_us // SECOND_US * SECOND_US + SECOND_US)),
    }


def _thing(transfer: Transfer, kind: Category, origin: Origin | None, at: Places) -> Row:
    """What was paid for. A guest that a payout comes from is not named."""
    market = at.markets.get(transfer.reservation or "") or market_of(transfer.credit)
    market = market or market_of(transfer.debit)
    is_work = transfer.kind.is_paid_by_user
    capacity = origin.capacity.value if is_work and origin is not None else None
    service = capacity or kind.service or "workload"
    is_priced = kind.category in ("Usage", "Purchase")
    site = at.sites.get(market or "")
    sku = f"{market}/{service}" if market else service
    return {
        "PricingCategory": PRICING.get(service, "Other") if is_priced else None,
        "RegionId": site,
        "RegionName": site,
        "ResourceId": transfer.workload if is_work else transfer.reservation,
        "ResourceName": origin.name if is_work and origin is not None else transfer.reservation,
        "ResourceType": _type_of(transfer),
        "ServiceCategory": "Compute",
        "ServiceName": f"Parkade {service}",
        "ServiceSubcategory": "Other (Compute)",
        "SkuId": sku,
        "SkuPriceId": sku,
        **_user(origin if is_work else None),
        "x_Market": market,
    }


def _type_of(transfer: Transfer) -> str | None:
    if transfer.kind.is_paid_by_user:
        return "Workload"
    return "Reservation" if transfer.reservation else None


def _user(origin: Origin | None) -> Row:
    if origin is None:
        return {"Tags": None}
    return {
        "SubAccountId": origin.user,
        "SubAccountName": origin.user,
        "SubAccountType": "User",
        "Tags": json.dumps(dict(origin.labels), ensure_ascii=False),
    }


def _says(transfer: Transfer, kind: Category) -> str:
    use = transfer.use
    if use is None:
        return kind.says
    return f"{kind.says}: {use.gpus} GPUs at {format_amount(use.price_micros)} per GPU-hour"


def _stamp(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us // SECOND_US, UTC):%Y-%m-%dT%H:%M:%SZ}"
