"""What a run or a server has used of its budget, in words; one place for all commands."""

from parkade.compound.run.budget import Amounts, Budget
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import counted


def bill_of(spent: Amounts, doubtful: Amounts, *, tail: str = "") -> str:
    """Money, tokens and calls; and what calls without an answer may be billed."""
    text = (
        f"{format_amount(spent.micros)}, {spent.tokens:,} tokens, "
        f"{counted(spent.calls, 'call')}{tail}"
    )
    if doubtful.micros:
        most = f"at most {format_amount(doubtful.micros)} more"
        text += f"; {most} for {counted(doubtful.calls, 'call')} without an answer"
    elif doubtful.calls:
        text += f"; {counted(doubtful.calls, 'call')} without an answer may be billed too"
    return text


def without_usage(count: int, calls: int) -> str | None:
    """Of how many calls the bill is the worst case; None where of none."""
    if not count:
        return None
    return f"no usage that can be from the server for {count:,} of {calls:,}: the worst case counts"


def left_of(budget: Budget, used: Amounts) -> str | None:
    """What is left of each limit; None where nothing is limited."""
    limits = (
        (budget.micros, used.micros, format_amount, ""),
        (budget.tokens, used.tokens, "{:,}".format, " tokens"),
        (budget.calls, used.calls, "{:,}".format, " calls"),
    )
    left = [
        f"{shown(max(0, most - gone))} of {shown(most)}{unit}"
        for most, gone, shown, unit in limits
        if most is not None
    ]
    return f"{', '.join(left)} left" if left else None
