"""The options of a budget, as `run` and `serve` have them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parkade.compound.run.budget import Budget


def budget_of(money: str | None, tokens: int | None, calls: int | None) -> "Budget":
    """The budget that the options name; NetworkError if one is no amount."""
    from parkade.compound.amounts import micros_of
    from parkade.compound.network import NetworkError
    from parkade.compound.run.budget import Budget

    try:
        micros = None if money is None else micros_of(money)
    except ValueError as error:
        raise NetworkError(f"--budget: {error}") from None
    for option, most in (("--max-tokens", tokens), ("--max-calls", calls)):
        if most is not None and most < 0:
            raise NetworkError(f"{option}: must be 0 or more, not {most}")
    return Budget(micros=micros, tokens=tokens, calls=calls)
