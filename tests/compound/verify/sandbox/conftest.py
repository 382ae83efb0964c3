"""One event loop and one sandbox for all tests of a module: what leaks from one meets the next."""

import asyncio
from collections.abc import Iterator

import pytest

from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.verify.sandbox.attack import PATIENT, as_nobody


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Runs coroutines of several tests on one event loop."""
    with asyncio.Runner() as found:
        yield found


@pytest.fixture(scope="module")
def own_sandbox() -> Iterator[Sandbox]:
    """One room, as the user of the tests has it."""
    sandbox = Sandbox(rooms=1, limits=PATIENT)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def nobodys_sandbox() -> Iterator[Sandbox]:
    """One room, as an ordinary user has it."""
    with as_nobody() as sandbox:
        yield sandbox
        sandbox.close()
