"""Coroutine tests run in a loop of their own; one browser serves the tests of a file."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.control.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skips where it, or Playwright, is missing."""
    # That module skips where it is imported, and most tests here need no browser.
    from tests.console.browser import chromium

    with chromium() as found:
        yield found
