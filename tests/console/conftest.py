"""Coroutine tests run in a loop of their own."""

from tests.control.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
