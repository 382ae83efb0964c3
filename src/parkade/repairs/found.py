"""What a check found."""

from typing import NamedTuple


class CheckResult(NamedTuple):
    """One check."""

    check: str
    passed: bool
    says: str
