"""One server for all tests of a process, and a new one for those that need the market alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.town import Town
from tests.api.town import town as running


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running(tmp_path_factory.mktemp("town")) as found:
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Town]:
    with running(tmp_path) as found:
        yield found
