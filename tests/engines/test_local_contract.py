"""The local engine keeps the contract."""

import pytest

from tests.engines.contract import EngineContract

pytestmark = pytest.mark.system


class TestLocalEngine(EngineContract):
    """Place: a data folder on this machine."""
