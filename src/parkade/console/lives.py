"""A workload's life as it is drawn and told, from the events that its reader may see."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from parkade.console.draw_timeline import Life, Priced, Run
from parkade.console.words import reason
from parkade.wire.feed import Event
from parkade.wire.scalars import format_amount

LEAD_S = 2.0
PAID = frozenset({"usage", "minimum_charge", "late_start"})
"""Transfers that a workload's own org pays for it."""


class _Open:
    """An attempt while its events are read."""

    def __init__(self, attempt: str, ordered_s: float) -> None:
        self.attempt = attempt
        self.ordered_s = ordered_s
        self.started_s: float | None = None
        self.noticed_s: float | None = None
        self.ended_s: float | None = None
        self.says = ""

    def closed(self) -> Run:
        return Run(
            self.attempt,
            self.ordered_s,
            self.started_s,
            self.noticed_s,
            self.ended_s,
            self.says,
        )


def life(workload: str, seen: Iterable[Event], *, since_s: float, until_s: float) -> Life:
    """What the events tell; times are seconds since 1970. `until_s`: now, or the end."""
    runs: list[_Open] = []
    checkpoints: list[tuple[float, int]] = []
    prices: list[tuple[float, float]] = []
    for event in seen:
        at_s = event.at.timestamp()
        price = _price(workload, event)
        if price is not None:
            prices.append((at_s, price))
        match event.type:
            case "Launched":
                runs.append(_Open(_short(event.detail.get("attempt", "")), at_s))
                runs[-1].says = event.says
            case "Started" if runs:
                runs[-1].started_s = at_s
            case "Checkpointed":
                checkpoints.append((at_s, int(event.detail.get("step", 0))))
            case "Ended" if runs:
                runs[-1].ended_s = at_s
            case "StopOrdered" if runs:
                runs[-1].noticed_s = runs[-1].noticed_s or at_s
            case "Cleared" if runs and _leaves(workload, event):
                runs[-1].noticed_s = runs[-1].noticed_s or at_s
    start_s = max(since_s, min((it.ordered_s for it in runs), default=until_s) - 600)
    return Life(
        start_s=start_s - LEAD_S,
        end_s=max(until_s, start_s + 10),
        runs=tuple(each.closed() for each in runs[-12:]),
        checkpoints=tuple(checkpoints[-200:]),
        prices=tuple(_while_it_ran(prices, runs, until_s)),
    )


def _while_it_ran(
    prices: Sequence[tuple[float, float]], runs: Iterable["_Open"], until_s: float
) -> Iterator[Priced]:
    """The prices cut to the time in which an attempt ran: between attempts nothing is paid."""
    for run in runs:
        if run.started_s is None:
            continue
        ended_s = until_s if run.ended_s is None else run.ended_s
        for index, (at_s, price) in enumerate(prices):
            until_next_s = prices[index + 1][0] if index + 1 < len(prices) else ended_s
            from_s, to_s = max(at_s, run.started_s), min(until_next_s, ended_s)
            if from_s < to_s:
                yield Priced(from_s, to_s, price)


def _lines(workload: str, event: Event) -> list[dict[str, Any]]:
    lines = event.detail.get("lines", [])
    return [each for each in lines if each.get("workload") == workload]


def _price(workload: str, event: Event) -> float | None:
    """The price that a clearing gave it; for a drawing alone."""
    for line in _lines(workload, event):
        if line["change"] in ("won", "repriced"):
            return float(line["price"])
    return None


def _leaves(workload: str, event: Event) -> bool:
    return any(line["change"] == "left" for line in _lines(workload, event))


def _short(attempt: str) -> str:
    return attempt.rpartition(".")[2]


def line_of(workload: str, event: Event) -> str:
    """The line of an event in the list: of a clearing, the part about this workload."""
    for line in _lines(workload, event):
        match line["change"]:
            case "won":
                return f"won its seats at {line['price']} per GPU-hour"
            case "repriced":
                return f"pays {line['price']} per GPU-hour"
            case "left":
                moved = line.get("moved", {}).get("says")
                why = moved or f"is told to leave: {reason(line['why'])}"
                return f"{why}, by {line['deadline'][11:19]}" if "deadline" in line else why
            case "waits":
                price = line.get("price_to_win")
                return f"waits: {reason(line['why'])}" + (f"; {price} would win" if price else "")
    if event.type in ("UsePosted", "WithdrawalCharged"):
        return _charged(event)
    return event.says.removeprefix(f"{workload}: ").removeprefix(f"{workload} ")


def _charged(event: Event) -> str:
    """What it paid, in all."""
    paid = sum(
        (
            abs(Decimal(each["amount"]))
            for each in event.detail.get("transfers", [])
            if each["kind"] in PAID
        ),
        Decimal(0),
    )
    return f"charged {format_amount(paid)}" if paid else "a charge was settled"
