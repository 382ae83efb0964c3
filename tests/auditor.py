"""A second opinion on money: every charge recomputed from the journal's events alone.

Written from DESIGN.md 4.5 and apart from what it audits: it reads the events as plain JSON, imports
nothing of Parkade, and keeps its own books. `audit` raises `Discrepancy` at the first thing that
does not add up, and returns what it found. The rules it holds:

- An attempt owes floor(sum of price x GPUs x microseconds / 3.6e9) over what it may be billed for:
  from its first process (or the end of the start grace, where it made others leave) to its release,
  never before it was ordered nor after its kill, its node's failure, or, where nobody knows how it
  ended, the last checkpoint within the hour.
- Who was given notice keeps its rate: a later one is for the seats that it moves to.
- Who made others leave owes at least the minimum charge, unless the platform or a stronger right
  ended it.
- Reservations owe their rate for the whole window, paid ahead and without a gap.
- What a market took in was paid to who earned it, whole micro-units, or waits in its account.
- No account but the outside falls below zero, and all together are zero.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

HOUR_US = 3_600_000_000
BLAMELESS = {"reclaimed", "moved", "healed", "operator"}

Record = dict[str, Any]


class Discrepancy(AssertionError):
    """The books do not agree with the events."""


@dataclass
class Run:
    """One attempt as the events tell it."""

    market: str
    gpus: int
    org: str
    ordered_us: int
    displaced: bool
    rates: list[Record]
    started_us: int | None = None
    kill_us: int | None = None
    broken_us: int | None = None
    checkpoint_us: int | None = None
    end: Record | None = None
    charged: int = 0


@dataclass
class Books:
    """Everything the auditor found."""

    balances: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    runs: dict[str, Run] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)
    workloads: dict[str, Record] = field(default_factory=dict)
    terms: dict[str, Record] = field(default_factory=dict)
    earned: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    paid: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    taken: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    given_up: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reservations: dict[str, Record] = field(default_factory=dict)
    reservation_paid: dict[str, tuple[int, int]] = field(default_factory=dict)


def audit(bodies: Iterable[bytes]) -> Books:
    """Reads the whole journal; Discrepancy where something does not add up."""
    books = Books()
    for number, body in enumerate(bodies, start=1):
        event = json.loads(body)
        try:
            _read(books, event)
            _require(sum(books.balances.values()) == 0, "all accounts together are not zero")
        except Discrepancy as found:
            raise Discrepancy(f"event {number} ({event['type']}): {found}") from None
    for market, taken in books.taken.items():
        _check_split(books, market, taken)
    return books


def _require(claim: bool, text: str) -> None:
    if not claim:
        raise Discrepancy(text)


def _read(books: Books, event: Record) -> None:
    kind = event["type"]
    reader = READERS.get(kind)
    if reader is not None:
        reader(books, event)
    for transfer in event.get("transfers", ()):
        _post(books, event, transfer)
    if kind == "Ended":
        _settle(books, event["attempt"])


def _post(books: Books, event: Record, transfer: Record) -> None:
    debit, credit, micros = transfer["debit"], transfer["credit"], transfer["micros"]
    _require(micros > 0, f"a transfer of {micros}")
    books.balances[debit] -= micros
    books.balances[credit] += micros
    _require(debit == "external" or books.balances[debit] >= 0, f"{debit} fell to below zero")
    if transfer["kind"] in ("usage", "minimum_charge"):
        market = credit.removeprefix("clearing/")
        books.taken[market] += micros
        run = books.runs.get(transfer["attempt"] or "")
        if run is None:
            _require(transfer["kind"] == "minimum_charge", "use without an attempt")
            books.given_up[market] += micros
            return
        _require(debit == f"org/{run.org}", f"{debit} paid for {run.org}")
        run.charged += micros
    elif debit.startswith("clearing/"):
        books.paid[debit.removeprefix("clearing/"), credit] += micros
    elif transfer["kind"] == "reservation":
        _read_reservation_charge(books, transfer)


def _read_reservation_charge(books: Books, transfer: Record) -> None:
    name = transfer["reservation"]
    reservation = books.reservations[name]
    start_us = reservation["window"]["start_us"]
    until_us, paid = books.reservation_paid.get(name, (start_us, 0))
    nodes = sum(nodes for _, nodes in reservation["shape"])
    rate = reservation["rate_micros"] * nodes * reservation["gpus_per_node"]
    paid += transfer["micros"]
    use = transfer["use"]
    _require(use["start_us"] == until_us, f"{name} was charged with a gap or twice")
    due = rate * (use["end_us"] - start_us) // HOUR_US
    _require(paid == due, f"{name} paid {paid} and owed {due}")
    books.reservation_paid[name] = (use["end_us"], paid)


def _open_market(books: Books, event: Record) -> None:
    if event["market"] is not None:
        books.terms[event["market"]["market"]] = event["market"]["terms"]


def _change_terms(books: Books, event: Record) -> None:
    books.terms[event["market"]] = event["terms"]


def _submit(books: Books, event: Record) -> None:
    books.workloads[event["workload"]["workload"]] = event["workload"]


def _reserve(books: Books, event: Record) -> None:
    books.reservations[event["reservation"]["reservation"]] = event["reservation"]


def _launch(books: Books, event: Record) -> None:
    attempt, workload = event["attempt"], books.workloads[event["workload"]]
    _require(attempt["attempt"] not in books.runs, f"{attempt['attempt']} was launched twice")
    _require(event["workload"] not in books.live, f"{event['workload']} runs already")
    books.live[event["workload"]] = attempt["attempt"]
    books.runs[attempt["attempt"]] = Run(
        market=workload["market"],
        gpus=sum(seat["gpus"] for seat in attempt["seats"]),
        org=workload["org"],
        ordered_us=attempt["ordered_us"],
        displaced=attempt["displaced"],
        rates=list(attempt["rates"]),
    )


def _start(books: Books, event: Record) -> None:
    run = books.runs[event["attempt"]]
    _require(run.started_us is None, f"{event['attempt']} started twice")
    run.started_us = max(event["at_us"], run.ordered_us)


def _checkpoint(books: Books, event: Record) -> None:
    books.runs[event["attempt"]].checkpoint_us = event["at_us"]


def _break(books: Books, event: Record) -> None:
    books.runs[event["attempt"]].broken_us = event["at_us"]


def _order_stop(books: Books, workload: str, stop: Record | None) -> None:
    attempt = books.live.get(workload)
    if attempt is None or stop is None:
        return
    run = books.runs[attempt]
    _require(run.kill_us is None or stop["kill_us"] <= run.kill_us, "a notice was withdrawn")
    run.kill_us = stop["kill_us"]


def _clear(books: Books, event: Record) -> None:
    for leaving in event["left"]:
        if leaving["demand"]["kind"] == "workload":
            _order_stop(books, leaving["demand"]["workload"], leaving["stop"])
    for repriced in event["repriced"]:
        attempt = books.live.get(repriced["workload"])
        if attempt is not None and books.runs[attempt].kill_us is None:
            books.runs[attempt].rates.append(repriced["rate"])


def _end(books: Books, event: Record) -> None:
    run = books.runs[event["attempt"]]
    _require(run.end is None, f"{event['attempt']} ended twice")
    run.end = event
    del books.live[event["workload"]]


READERS = {
    "PoolOpened": _open_market,
    "NodesAdded": _open_market,
    "TermsChanged": _change_terms,
    "Submitted": _submit,
    "Reserved": _reserve,
    "Launched": _launch,
    "Started": _start,
    "Checkpointed": _checkpoint,
    "Broken": _break,
    "StopOrdered": lambda books, event: _order_stop(books, event["workload"], event["stop"]),
    "Cleared": _clear,
    "Ended": _end,
}


def window_of(run: Run, terms: Record) -> tuple[int, int]:
    """What an ended attempt is billed for: [from, to)."""
    assert run.end is not None
    released_us = run.end["at_us"]
    grace_us = run.ordered_us + terms["start_grace_us"]
    starts = [run.started_us] if run.started_us is not None else []
    from_us = min(starts + ([grace_us] if run.displaced else []), default=released_us)
    to_us = min(end for end in (released_us, run.kill_us, run.broken_us) if end is not None)
    if is_lost(run):
        to_us = min(to_us, max(run.checkpoint_us or 0, to_us - HOUR_US))
    return from_us, max(from_us, to_us)


def is_lost(run: Run) -> bool:
    """Whether the platform or a node ended it, or nobody knows what did."""
    assert run.end is not None
    summary = run.end["summary"]
    return run.broken_us is not None or summary == "lost" or "unknown" in summary


def due_of(run: Run, terms: Record) -> tuple[int, dict[str, int]]:
    """(micro-units that an ended attempt owes, micro-unit-hours x 3.6e9 by earner)."""
    assert run.end is not None
    from_us, to_us = window_of(run, terms)
    pieces = [
        (rate, _overlap(run.rates, place, from_us, to_us)) for place, rate in enumerate(run.rates)
    ]
    minimum_us = terms["minimum_charge_us"]
    if run.displaced and not is_lost(run) and run.end["cause"] not in BLAMELESS:
        pieces.append((run.rates[-1], max(0, minimum_us - (to_us - from_us))))
    numerator = 0
    earned: dict[str, int] = defaultdict(int)
    for rate, length_us in pieces:
        numerator += rate["price_micros"] * run.gpus * length_us
        for earner, share in rate["shares"]:
            earned[earner] += share * length_us
    return numerator // HOUR_US, earned


def _overlap(rates: list[Record], place: int, from_us: int, to_us: int) -> int:
    begins = rates[place]["from_us"] if place else from_us
    ends = rates[place + 1]["from_us"] if place + 1 < len(rates) else to_us
    return max(0, min(ends, to_us) - max(begins, from_us))


def _settle(books: Books, attempt: str) -> None:
    run = books.runs[attempt]
    due, earned = due_of(run, books.terms[run.market])
    _require(run.charged == due, f"{attempt} was charged {run.charged} and owed {due}")
    for earner, part in earned.items():
        books.earned[run.market, earner] += part
    for rate in run.rates:
        shared = sum(share for _, share in rate["shares"])
        whole = rate["price_micros"] * run.gpus
        _require(shared == whole, f"{attempt}: {shared} of {whole} an hour is shared out")


def _check_split(books: Books, market: str, taken: int) -> None:
    paid = {who: micros for (where, who), micros in books.paid.items() if where == market}
    waits = books.balances[f"clearing/{market}"]
    _require(taken == sum(paid.values()) + waits, f"{market}: took {taken}, {paid}, {waits} waits")
    if any(run.market == market for run in map(books.runs.__getitem__, books.live.values())):
        return
    if books.given_up[market]:
        return
    for who, micros in paid.items():
        earned = books.earned[market, who] // HOUR_US
        _require(micros <= earned, f"{market}: {who} was paid {micros} and earned {earned}")
