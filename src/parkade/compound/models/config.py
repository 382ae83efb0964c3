"""A model out of a network file: which kind it is, its limits and its price."""

import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from parkade.compound.amounts import micros_of
from parkade.compound.models.batch import BatchModel
from parkade.compound.models.local import LocalModel, version_of
from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import (
    FREE,
    Model,
    Price,
    ProviderLimits,
    RateLimits,
    TokenBounds,
)
from parkade.compound.models.providers import Count, ProviderGiven, with_provider
from parkade.compound.models.recorded import RecordedModel
from parkade.compound.models.samples import MOST_SAMPLES
from parkade.compound.models.urls import fault_of_url
from parkade.compound.network.errors import NetworkError
from parkade.compound.network.operators import MAX_COUNT
from parkade.compound.wrong_values import in_words


class PriceGiven(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per million tokens, decimal."""

    input: str | float | int
    output: str | float | int
    as_of: Any = ""


class _Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all kinds of models may have."""

    #: Per million tokens, or the name of a model in `prices.yaml`.
    price: PriceGiven | str | None = None
    max_tokens: Count | None = None
    #: As in `TokenBounds`.
    attachment_tokens: Count | None = None
    template_tokens: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] | None = None
    bounded_options: list[str] = []
    concurrency: int = 64
    calls_per_minute: int | None = None
    tokens_per_minute: int | None = None


class FunctionGiven(_Given, frozen=True, kw_only=True):
    """A Python function."""

    #: `file.py:name`; from Python also the function itself.
    function: Any
    #: Yours to raise; None: the function's own source stands for it.
    version: str | int | None = None


class ServerGiven(_Given, frozen=True, kw_only=True):
    """An OpenAI-compatible server, or several."""

    url: str | list[str]
    model: str
    key_env: str | None = None
    timeout: float = 600.0
    headers: dict[str, str] = {}
    #: Samples of one prompt that one request may ask for, as `n`.
    samples_per_request: Annotated[int, msgspec.Meta(ge=1, le=MOST_SAMPLES)] = 1
    #: Further keys of each request; an operator's own come first.
    options: dict[str, Any] = {}


class RecordedGiven(_Given, frozen=True, kw_only=True):
    """Answers from a file."""

    recorded: str
    wraps: bool = False


class BatchGiven(_Given, frozen=True, kw_only=True):
    """OpenAI batch files: requests go to `batch`, answers come from `answers`."""

    batch: str
    model: str
    answers: list[str] = []
    #: As in ServerGiven.
    options: dict[str, Any] = {}


GIVEN: dict[str, type[_Given]] = {
    "url": ServerGiven,
    "recorded": RecordedGiven,
    "batch": BatchGiven,
    "function": FunctionGiven,
}
#: What an environment variable may be called.
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
SECRETS = ("key", "api_key", "token", "authorization")


def model_from(
    name: str,
    given: Any,
    function_at: Callable[[Any], Callable[..., Any]],
    folder: Path,
    providers: Mapping[str, ProviderGiven] | None = None,
) -> Model:
    """The model that a network file describes; NetworkError says what is wrong."""
    where = f"models.{name}"
    if not isinstance(given, dict):
        raise NetworkError(f"{where}: must be a map with one of {', '.join(GIVEN)}")
    provider = None
    if "provider" in given:
        given, provider = with_provider(given, providers or {}, where)
    kinds = [kind for kind in GIVEN if kind in given]
    if len(kinds) != 1:
        has = ", ".join(sorted(str(key) for key in given)) or "nothing"
        raise NetworkError(f"{where}: needs one of {', '.join(GIVEN)}; it has {has}")
    for secret in SECRETS:
        if secret in given or secret in {str(name).lower() for name in given.get("headers") or {}}:
            raise NetworkError(
                f"{where}: keys never stand in files; put the name of a variable under key_env"
            )
    fields = [field.encode_name for field in msgspec.structs.fields(GIVEN[kinds[0]])]
    if unknown := sorted({str(key) for key in given} - set(fields)):
        raise NetworkError(f"{where}: no field {unknown[0]!r}; there are: {', '.join(fields)}")
    try:
        parsed = msgspec.convert(given, GIVEN[kinds[0]])
    except msgspec.ValidationError as error:
        raise NetworkError(f"{where}: {in_words(error)}") from None
    match parsed:
        case ServerGiven():
            return _server(parsed, where, provider)
        case FunctionGiven():
            function = function_at(parsed.function)
            return LocalModel(
                name,
                function,
                version=version_of(function) if parsed.version is None else str(parsed.version),
                max_output_tokens=parsed.max_tokens,
                price=price_from(parsed.price, where) or FREE,
                limits=limits_from(parsed),
                bounds=bounds_from(parsed),
            )
        case RecordedGiven(recorded=path):
            return _recorded(parsed, folder / path, where)
        case BatchGiven(batch=path):
            return BatchModel(
                parsed.model,
                folder / path,
                tuple(folder / answers for answers in parsed.answers),
                price=price_from(parsed.price, where),
                max_output_tokens=parsed.max_tokens,
                bounds=bounds_from(parsed),
                options=_options(parsed, where),
            )
        case _:
            raise AssertionError(f"no model is made of {type(parsed).__name__}")


def _recorded(given: RecordedGiven, path: Path, where: str) -> Model:
    try:
        return RecordedModel(
            path,
            wraps=given.wraps,
            price=price_from(given.price, where) or FREE,
            max_output_tokens=given.max_tokens,
            bounds=bounds_from(given),
        )
    except OSError as error:
        raise NetworkError(f"{where}: cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise NetworkError(f"{where}: {error}") from None


def _server(given: ServerGiven, where: str, provider: ProviderLimits | None) -> Model:
    urls = (given.url,) if isinstance(given.url, str) else tuple(given.url)
    for url in urls:
        if fault := fault_of_url(url):
            # A password is not shown.
            shown = "the url" if "@" in url else repr(url)
            raise NetworkError(f"{where}: {shown} {fault}")
    if not urls:
        raise NetworkError(f"{where}: needs a URL")
    if given.key_env is not None and not VARIABLE.fullmatch(given.key_env):
        # The value is not shown: it may be a key.
        raise NetworkError(
            f"{where}.key_env: must be the name of an environment variable, such as "
            "OPENAI_API_KEY (letters, digits and _), and not the key itself"
        )
    return OpenAIModel(
        given.model,
        urls,
        key_env=given.key_env,
        price=price_from(given.price, where),
        max_output_tokens=given.max_tokens,
        bounds=bounds_from(given),
        limits=msgspec.structs.replace(limits_from(given), provider=provider),
        timeout_s=given.timeout,
        headers=given.headers,
        samples_per_request=given.samples_per_request,
        options=_options(given, where),
    )


def _options(given: ServerGiven | BatchGiven, where: str) -> dict[str, Any]:
    """Keys of each request; one limit of output, in one place."""
    if "max_tokens" in given.options:
        raise NetworkError(f"{where}.options: write max_tokens at the model itself")
    if "max_completion_tokens" in given.options and given.max_tokens is not None:
        raise NetworkError(
            f"{where}: has max_tokens and options.max_completion_tokens: servers differ in which "
            "of two limits they keep, so leave one out"
        )
    return given.options


def price_from(given: PriceGiven | str | None, where: str) -> Price | None:
    """Micro-units per million tokens."""
    if given is None:
        return None
    if isinstance(given, str):
        return _listed(given, where)
    try:
        return Price(
            input_micros_per_million=micros_of(str(given.input)),
            output_micros_per_million=micros_of(str(given.output)),
            as_of=str(given.as_of),
        )
    except ValueError as error:
        raise NetworkError(f"{where}.price: {error}") from None


def _listed(model: str, where: str) -> Price | None:
    """A price out of the table that comes with the package."""
    text = resources.files("parkade.compound.models").joinpath("prices.yaml").read_text("utf-8")
    table = msgspec.convert(yaml.safe_load(text), dict[str, PriceGiven])
    if model not in table:
        raise NetworkError(
            f"{where}.price: no price of {model!r} is listed; give {{input, output, as_of}}, or "
            f"one of {', '.join(table)}"
        )
    return price_from(table[model], where)


def bounds_from(given: _Given) -> TokenBounds:
    """What the file knows of tokens that a request does not show."""
    return TokenBounds(
        attachment_tokens=given.attachment_tokens,
        template_tokens=given.template_tokens,
        bounded_options=frozenset(given.bounded_options),
    )


def limits_from(given: _Given) -> RateLimits:
    """The limits of a model."""
    return RateLimits(
        concurrency=given.concurrency,
        calls_per_minute=given.calls_per_minute,
        tokens_per_minute=given.tokens_per_minute,
    )
