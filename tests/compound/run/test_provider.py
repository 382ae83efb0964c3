"""Limits of a provider hold over all its models together, and starve none of them."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from parkade.compound.loading import load
from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import ProviderLimits, RateLimits
from parkade.compound.network import Ensemble, Generate, NetworkError
from parkade.compound.run.limiter import Limiter
from parkade.compound.run.provider import Provider
from parkade.compound.values import Call
from tests.compound.building import ask, names, run_network

SECOND = 1_000_000


def test_models_of_one_provider_are_never_in_flight_beyond_its_limit(tmp_path: Path) -> None:
    flying: Counter[str] = Counter()
    most: list[int] = []
    order: list[str] = []

    async def answer(call: Call) -> str:
        flying[call.model] += 1
        most.append(flying["a"] + flying["b"])
        order.append(call.model)
        for _ in range(5):
            await asyncio.sleep(0)
        flying[call.model] -= 1
        return "x"

    limits = RateLimits(provider=ProviderLimits(name="p", concurrency=3))
    models = {name: LocalModel(name, answer, limits=limits) for name in "ab"}
    network = Ensemble((Generate("a", n=20), Generate("b", n=20)))
    summary, _ = run_network(network, [ask(n) for n in range(3)], names(models), tmp_path)
    assert summary.calls == 120
    assert max(most) == 3
    # Neither waits until the other has had all its calls.
    assert {"a", "b"} <= set(order[:12])


def test_a_provider_s_rate_is_that_of_all_its_lanes() -> None:
    provider = Provider(ProviderLimits(name="p", calls_per_minute=60, tokens_per_minute=6_000))
    first, second = Limiter(RateLimits()), Limiter(RateLimits())
    provider.joined(first)
    provider.joined(second)
    assert provider.has_room()
    assert provider.wait_us(50, 0) == 0
    provider.take(50)
    # The calls' second is over before the tokens' is.
    assert provider.wait_us(10, 0) == SECOND
    assert provider.wait_us(10, SECOND) == 0
    provider.take(300)
    assert provider.wait_us(10, 2 * SECOND) > 0
    assert provider.wait_us(10, 5 * SECOND) == 0


FILE = """
providers:
  lab: {url: "http://127.0.0.1:9/v1", key_env: LAB_KEY, calls_per_minute: 500, concurrency: 8}
  plain: {url: "http://127.0.0.1:10/v1"}
models:
  small: {provider: lab, model: s}
  big: {provider: lab, model: b, calls_per_minute: 5, url: "http://127.0.0.1:11/v1"}
  other: {provider: plain, model: o}
network: "E@small + E@big + E@other"
"""


def test_a_file_says_once_what_models_have_in_common(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(FILE)
    models = load(tmp_path / "net.yaml").names.models
    shared = ProviderLimits(name="lab", concurrency=8, calls_per_minute=500)
    assert models["small"].limits == RateLimits(provider=shared)
    assert models["big"].limits == RateLimits(provider=shared, calls_per_minute=5)
    assert models["other"].limits == RateLimits()


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("provider: plain", "provider: plan", "models.other: there is no provider 'plan'; there"),
        ("calls_per_minute: 500", "calls: 500", "providers.lab: no field 'calls'; there are: url"),
        ("concurrency: 8", "concurrency: 0", "providers.lab: concurrency must be"),
        ('plain: {url: "http://127.0.0.1:10/v1"}', "plain: {}", "models.other: needs a url"),
        ('plain: {url: "http://127.0.0.1:10/v1"}', "plain: 3", "providers.plain: must be a map"),
        ("model: o", 'function: "x.py:f"', "a model with 'function' asks no provider"),
        ("key_env: LAB_KEY", 'key_env: "a key"', "must be the name of an environment variable"),
        ("key_env: LAB_KEY", "headers: {Authorization: x}", "keys never stand in files"),
    ],
)
def test_a_wrong_provider_is_told(tmp_path: Path, was: str, now: str, says: str) -> None:
    assert was in FILE
    (tmp_path / "net.yaml").write_text(FILE.replace(was, now))
    with pytest.raises(NetworkError, match=says):
        load(tmp_path / "net.yaml")
