"""Providers of a network file: what several models have in common, said once.

    providers:
      openai: {url: https://api.openai.com/v1, key_env: OPENAI_API_KEY, calls_per_minute: 500}
    models:
      small: {provider: openai, model: gpt-4o-mini, max_tokens: 256}
      big: {provider: openai, model: gpt-4o, max_tokens: 512, calls_per_minute: 100}

Address, key, headers and time-out are taken over where a model says nothing itself. Limits of a
provider hold over all its models together, and a model's own beside them.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from parkade.compound.models.protocol import ProviderLimits
from parkade.compound.network.errors import NetworkError
from parkade.compound.network.operators import MAX_COUNT
from parkade.compound.wrong_values import in_words

Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
#: What a model takes over where it says nothing itself.
TAKEN_OVER = ("url", "key_env", "timeout", "headers")


class ProviderGiven(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the section; None is not said."""

    url: str | list[str] | None = None
    key_env: str | None = None
    timeout: float | None = None
    headers: dict[str, str] | None = None
    concurrency: Count | None = None
    calls_per_minute: Count | None = None
    tokens_per_minute: Count | None = None


def providers_from(section: Mapping[str, Any]) -> dict[str, ProviderGiven]:
    """The section of a network file; NetworkError says what is wrong."""
    return {name: _provider(name, given) for name, given in section.items()}


def _provider(name: str, given: Any) -> ProviderGiven:
    where = f"providers.{name}"
    known = [field.name for field in msgspec.structs.fields(ProviderGiven)]
    if not isinstance(given, dict):
        raise NetworkError(f"{where}: must be a map with some of {', '.join(known)}")
    if unknown := sorted({str(key) for key in given} - set(known)):
        raise NetworkError(f"{where}: no field {unknown[0]!r}; there are: {', '.join(known)}")
    try:
        return msgspec.convert(given, ProviderGiven)
    except msgspec.ValidationError as error:
        raise NetworkError(f"{where}: {in_words(error)}") from None


def with_provider(
    given: Mapping[str, Any], providers: Mapping[str, ProviderGiven], where: str
) -> tuple[dict[str, Any], ProviderLimits | None]:
    """A model with what it takes over, and the limits that it shares; None without any."""
    name = str(given["provider"])
    if name not in providers:
        there_are = f"there are: {', '.join(providers)}" if providers else "the file names none"
        raise NetworkError(f"{where}: there is no provider {name!r}; {there_are}")
    if other := next((kind for kind in ("function", "recorded", "batch") if kind in given), None):
        raise NetworkError(f"{where}: a model with {other!r} asks no provider; leave it out")
    provider = providers[name]
    common = {field: getattr(provider, field) for field in TAKEN_OVER}
    own = {field: value for field, value in given.items() if field != "provider"}
    merged = {field: value for field, value in common.items() if value is not None} | own
    if "url" not in merged:
        raise NetworkError(f"{where}: needs a url, here or at providers.{name}")
    limits = ProviderLimits(
        name=name,
        concurrency=provider.concurrency,
        calls_per_minute=provider.calls_per_minute,
        tokens_per_minute=provider.tokens_per_minute,
    )
    return merged, None if limits == ProviderLimits(name=name) else limits
