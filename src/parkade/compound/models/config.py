"""A model out of a network file: which kind it is, its limits and its price."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from parkade.compound.models.door import FREE, Limits, Model, Price
from parkade.compound.models.local import LocalModel
from parkade.compound.network.errors import NetworkError
from parkade.core.units.money import parse_amount


class PriceGiven(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per million tokens, decimal."""

    input: str | float | int
    output: str | float | int
    as_of: Any = ""


class _Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all kinds of models may have."""

    price: PriceGiven | None = None
    max_tokens: int | None = None
    attachment_tokens: int | None = None
    concurrency: int = 64
    calls_per_minute: int | None = None
    tokens_per_minute: int | None = None


class FunctionGiven(_Given, frozen=True, kw_only=True):
    """A Python function."""

    function: str
    version: str = "1"


GIVEN: dict[str, type[_Given]] = {"function": FunctionGiven}


def model_from(name: str, given: Any, function_at: Callable[[str], Callable[..., Any]]) -> Model:
    """The model that a network file describes; NetworkError says what is wrong."""
    where = f"models.{name}"
    if not isinstance(given, dict):
        raise NetworkError(f"{where}: must be a map with one of {', '.join(GIVEN)}")
    kinds = [kind for kind in GIVEN if kind in given]
    if len(kinds) != 1:
        raise NetworkError(f"{where}: needs one of {', '.join(GIVEN)}")
    try:
        told = msgspec.convert(given, GIVEN[kinds[0]])
    except msgspec.ValidationError as error:
        raise NetworkError(f"{where}: {error}") from None
    assert isinstance(told, FunctionGiven)
    return LocalModel(
        name,
        function_at(told.function),
        version=told.version,
        price=price_from(told.price, where) or FREE,
        limits=limits_from(told),
    )


def price_from(given: PriceGiven | None, where: str) -> Price | None:
    """Micro-units per million tokens."""
    if given is None:
        return None
    try:
        return Price(
            input_micros_per_million=parse_amount(str(Decimal(str(given.input)))),
            output_micros_per_million=parse_amount(str(Decimal(str(given.output)))),
            as_of=str(given.as_of),
        )
    except (ValueError, ArithmeticError) as error:
        raise NetworkError(f"{where}.price: {error}") from None


def limits_from(given: _Given) -> Limits:
    """The limits of a model."""
    return Limits(
        concurrency=given.concurrency,
        calls_per_minute=given.calls_per_minute,
        tokens_per_minute=given.tokens_per_minute,
    )
