"""The scene of tests of Mars alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mars.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One whose runners are closed at the end."""
    found = Scene(tmp_path)
    yield found
    for runner in found.runners:
        runner.close()
