"""The markets in which a workload bids, and what each said."""

from collections.abc import Sequence

from parkade.api.translate.scalars import amount, amount_or_none
from parkade.api.views.reasons import SENTENCES
from parkade.core.units.money import format_amount
from parkade.core.workloads.choice import Answer, Choice
from parkade.core.workloads.choices import stands_in
from parkade.core.workloads.workload import Workload
from parkade.wire.workloads import MarketAnswer


def market_answers(workload: Workload, *, won: str | None = None) -> tuple[MarketAnswer, ...]:
    """Each market of a workload with several, in the order of its wishes. `won`: where a plan would
    seat it."""
    known = {it.market: it for it in workload.answers}
    seated = won or stands_in(workload)
    is_over = workload.phase.is_ended
    return tuple(
        _answer(
            it,
            None if is_over else known.get(it.market),
            has_seats=it.market == seated,
            is_array=workload.array is not None,
        )
        for it in workload.spec.choices
    )


def _answer(
    choice: Choice, said: Answer | None, *, has_seats: bool, is_array: bool
) -> MarketAnswer:
    answer = None if has_seats else said
    price = None if answer is None else answer.price_to_win_micros
    if is_array:
        says = "its members bid there, each by itself"
    elif has_seats:
        says = "it has its seats there"
    elif answer is None:
        says = "it was not asked there"
    else:
        says = SENTENCES.get(answer.why, answer.why)
        says += "" if price is None else f"; a limit of {format_amount(price)} would have won"
    return MarketAnswer(
        market=choice.market,
        instance_type=choice.instance_type,
        limit_price=amount(choice.limit_price_micros),
        has_seats=has_seats,
        why=None if answer is None else answer.why,
        price_to_win=amount_or_none(price),
        says=says,
    )


def markets_words(answers: Sequence[MarketAnswer]) -> str:
    """What each market said, as the end of a sentence; empty for a workload that bids in one."""
    return "".join(f"; in {it.market}: {it.says}" for it in answers)
