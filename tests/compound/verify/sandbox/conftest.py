"""One sandbox for all tests of a module: what leaks from one meets the next."""

from collections.abc import Iterator

import pytest

from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.verify.sandbox.attack import PATIENT, as_nobody


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
