"""The rules of FOCUS 1.2 for the columns that Parkade gives, kept from its specification.

Source: github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec, `specification/columns/NAME.md` (one
page a column, named in small letters) and `specification/attributes/*.md`. A column is (feature
level, whether it may be null, data type, allowed values). M: mandatory, C: under a condition, R:
recommended. No validator for 1.2 is among the packages that could be had; that of the project
knows 1.0.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

Row = Mapping[str, str | None]
CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
FREQUENCIES = ("One-Time", "Recurring", "Usage-Based")
PRICING = ("Standard", "Dynamic", "Committed", "Other")
COMPUTE = (
    *("Containers", "End User Computing", "Quantum Compute", "Serverless Compute"),
    *("Virtual Machines", "Other (Compute)"),
)
"""Subcategories whose parent is Compute; the others are of no use here."""


class Column(NamedTuple):
    """What the page of a column says in its table."""

    level: str
    is_nullable: bool
    kind: str
    allowed: tuple[str, ...] = ()


COLUMNS = {
    "BilledCost": Column("M", False, "decimal"),
    "BillingAccountId": Column("M", False, "string"),
    "BillingAccountName": Column("M", True, "string"),
    "BillingAccountType": Column("C", True, "string"),
    "BillingCurrency": Column("M", False, "currency"),
    "BillingPeriodEnd": Column("M", False, "instant"),
    "BillingPeriodStart": Column("M", False, "instant"),
    "ChargeCategory": Column("M", False, "string", CATEGORIES),
    "ChargeClass": Column("M", True, "string", ("Correction",)),
    "ChargeDescription": Column("M", True, "string"),
    "ChargeFrequency": Column("R", False, "string", FREQUENCIES),
    "ChargePeriodEnd": Column("M", False, "instant"),
    "ChargePeriodStart": Column("M", False, "instant"),
    "ConsumedQuantity": Column("C", True, "decimal"),
    "ConsumedUnit": Column("C", True, "unit"),
    "ContractedCost": Column("M", False, "decimal"),
    "ContractedUnitPrice": Column("C", True, "price"),
    "EffectiveCost": Column("M", False, "decimal"),
    "InvoiceIssuerName": Column("M", False, "string"),
    "ListCost": Column("M", False, "decimal"),
    "ListUnitPrice": Column("C", True, "price"),
    "PricingCategory": Column("C", True, "string", PRICING),
    "PricingQuantity": Column("M", True, "decimal"),
    "PricingUnit": Column("M", True, "unit"),
    "ProviderName": Column("M", False, "string"),
    "PublisherName": Column("M", False, "string"),
    "RegionId": Column("C", True, "string"),
    "RegionName": Column("C", True, "string"),
    "ResourceId": Column("C", True, "string"),
    "ResourceName": Column("C", True, "string"),
    "ResourceType": Column("C", True, "string"),
    "ServiceCategory": Column("M", False, "string", ("Compute",)),
    "ServiceName": Column("M", False, "string"),
    "ServiceSubcategory": Column("R", False, "string", COMPUTE),
    "SkuId": Column("C", True, "string"),
    "SkuPriceId": Column("C", True, "string"),
    "SubAccountId": Column("C", True, "string"),
    "SubAccountName": Column("C", True, "string"),
    "SubAccountType": Column("C", True, "string"),
    "Tags": Column("C", True, "pairs"),
}
PRICED = (
    *("PricingCategory", "PricingQuantity", "PricingUnit", "ListUnitPrice"),
    *("ContractedUnitPrice", "SkuId", "SkuPriceId"),
)
"""Not null of use and of purchases that are no corrections (their own pages)."""

TOGETHER = {
    "RegionName": "RegionId",
    "ResourceType": "ResourceId",
    "SubAccountName": "SubAccountId",
    "SubAccountType": "SubAccountId",
}
"""Null exactly where the other is."""

FORMATS = {
    "decimal": r"-?\d+(\.\d+)?",  # attributes/numeric_format.md
    "price": r"\d+(\.\d+)?",
    "instant": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",  # attributes/date_time_format.md
    "currency": r"[A-Z]{3}",  # attributes/currency_code_format.md: ISO 4217
    "unit": r"[A-Z][A-Za-z]*(-[A-Z][a-z]*s)?",  # attributes/unit_format.md
    "string": r"\S(.*\S)?",  # attributes/string_handling.md: no spaces around, not empty
    "pairs": r"\{.*\}",  # attributes/key_value_format.md
}
MICRO = Decimal("0.0000011")
"""Fractions of a micro-unit are carried on to the next charge (docs/costs.md)."""


def broken(row: Row) -> list[str]:
    """What a row breaks."""
    return [*_values(row), *_nulls(row), *_spans(row), *_products(row)]


def _values(row: Row) -> Iterator[str]:
    for name, column in COLUMNS.items():
        value = row.get(name)
        if name not in row:
            yield f"{name} is missing"
        elif value is None:
            if not column.is_nullable:
                yield f"{name} is null"
        elif column.allowed and value not in column.allowed:
            yield f"{name} is {value!r}"
        elif not re.fullmatch(FORMATS[column.kind], value):
            yield f"{name} has not the format of a {column.kind}: {value!r}"
    own = [name for name in row if name not in COLUMNS and not re.fullmatch(r"x_\w+", name)]
    yield from (f"{name} is no column of FOCUS and has no x_" for name in own)
    if row.get("Tags"):
        pairs = json.loads(row["Tags"] or "{}")
        if not all(isinstance(value, str | int | bool) for value in pairs.values()):
            yield "a tag is no plain value"


def _nulls(row: Row) -> Iterator[str]:
    category = row["ChargeCategory"]
    if category in ("Usage", "Purchase") and row["ChargeClass"] is None:
        yield from (f"{name} is null of {category}" for name in PRICED if row[name] is None)
    for name in ("ConsumedQuantity", "ConsumedUnit"):
        if (row[name] is None) is (category == "Usage"):
            yield f"{name} of {category} is {row[name]!r}"
    for name, other in TOGETHER.items():
        if (row[name] is None) is not (row[other] is None):
            yield f"{name} and {other} are not null together"
    if row["ResourceId"] is None and row["ResourceName"] is not None:
        yield "ResourceName without ResourceId"
    if category == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "a purchase is not by use"
    # pricingcategory.md: committed is what a commitment discount reduces, never its purchase.
    if row["PricingCategory"] == "Committed" and not row.get("CommitmentDiscountId"):
        yield "Committed without a CommitmentDiscountId"


def _spans(row: Row) -> Iterator[str]:
    for kind in ("BillingPeriod", "ChargePeriod"):
        start, end = (datetime.fromisoformat(row[f"{kind}{of}"] or "") for of in ("Start", "End"))
        if start >= end:
            yield f"{kind} ends at its begin"


def _products(row: Row) -> Iterator[str]:
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        if row[price] is None or row["PricingQuantity"] is None:
            continue
        product = Decimal(row[price] or "") * Decimal(row["PricingQuantity"] or "")
        # pricingquantity.md: they match; the sign of what came back is that of the cost.
        if abs(product - abs(Decimal(row[cost] or ""))) > MICRO:
            yield f"{price} times PricingQuantity is not {cost}"
