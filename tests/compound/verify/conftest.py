"""One event loop for all tests of a module."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Runs coroutines of several tests on one event loop."""
    with asyncio.Runner() as found:
        yield found
