"""The local engine keeps the contract."""

from tests.engines.contract import EngineContract


class TestLocalEngine(EngineContract):
    """Place: a data folder on this machine."""
