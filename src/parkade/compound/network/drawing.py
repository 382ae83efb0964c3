"""Networks drawn: as text."""

from parkade.compound.network.operators import NAMES, Operator


def label(operator: Operator) -> str:
    """One line for one operator."""
    return NAMES[type(operator)]
