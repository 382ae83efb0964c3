"""Caps of users and orgs, from events alone: what their workloads cost and hold, counted anew.

- A bid that gets seats which it had none of before leaves its user's and its org's cap room for
  what it costs until it could be gone.
- Where a clearing gives bids of a capped user or org more GPUs than they held, all that it then
  holds for bids and on demand is within the cap.
- No org submits more, nor do bids of it start more, in a minute than it may.
- That four fifths are spent is told where they are, once for each cap, or once a month.

Work in a reservation is its org's own right and is no part of this. Months are those of charges.
"""

from datetime import UTC, datetime, timedelta

from parkade.sim.auditor.books import HOUR_US, MINUTE_US, Books, CapBooks, Capped, Record, require
from parkade.sim.auditor.choices import market_of


def set_cap(books: Books, event: Record) -> None:
    """A cap of a user or an org, in place of the one that it had."""
    caps = books.caps
    if event["type"] == "CapSet":
        capped = ("user", event["user"])
        cap = {"micros": event["cap_micros"], "period": event.get("period", "total")}
        cap["most_gpus"] = event.get("most_gpus")
    else:
        capped, cap = ("org", event["org"]), event["cap"] or {}
    caps.caps[capped] = cap
    caps.noted.pop(capped, None)


def spend(caps: CapBooks, workload: Record, micros: int, at_us: int) -> None:
    """A charge; one that is dated back counts in the month of the last."""
    for capped in _capped_by(workload):
        at_us = max(at_us, caps.last_us.get(capped, 0))
        month = month_of(at_us)
        known, before = caps.in_month.get(capped, (month, 0))
        caps.last_us[capped] = at_us
        caps.spent[capped] += micros
        caps.in_month[capped] = (month, micros + (before if known == month else 0))


def note(books: Books, event: Record) -> None:
    """Four fifths were told of."""
    caps = books.caps
    user = event["user"]
    capped = ("org", event["org"]) if user is None else ("user", user)
    cap, month = caps.caps[capped], month_of(event["at_us"])
    spent = _spent(caps, capped, month)
    says = f"of a cap of {cap['micros']} {spent} are spent, and {event['spent_micros']} are told"
    owes = any(capped in _capped_by(books.workloads[name]) for name in books.live)
    is_right = spent == event["spent_micros"] or (owes and spent < event["spent_micros"])
    require(is_right, says)
    require(event["spent_micros"] * 5 >= cap["micros"] * 4, f"{says} as four fifths")
    period = month if cap["period"] == "month" else "ever"
    require(caps.noted.get(capped) != period, f"{says}, which was told before")
    caps.noted[capped] = period


def set_bounds(books: Books, event: Record) -> None:
    """How much an org may begin."""
    books.caps.bounds[event["org"]] = event["bounds"] or {}


def begin(books: Books, org: str, what: str, at_us: int) -> None:
    """A submission, a retry or a launch."""
    caps, minute = books.caps, at_us // MINUTE_US
    caps.begun[org, what, minute] += 1
    most = caps.bounds.get(org, {}).get("submits_per_minute")
    count = caps.begun[org, what, minute]
    is_within = what != "submits" or most is None or count <= most
    require(is_within, f"{org} submitted {count} in a minute, of at most {most}")


def _check_starts(caps: CapBooks, books: Books, event: Record) -> None:
    winners = (won["demand"].get("workload") for won in event["won"])
    newcomers = [it for it in winners if it is not None and it not in caps.seated]
    bids = [it for it in newcomers if _kind(books.workloads[it]) == "spot"]
    # What moves in this clearing starts again, and is not held back for that.
    counted = books.promises.keys() & caps.promised | set(bids)
    for org in {books.workloads[it]["org"] for it in bids}:
        most = caps.bounds.get(org, {}).get("starts_per_minute")
        placed = sum(1 for it in counted if books.workloads[it]["org"] == org)
        started = caps.begun[org, "starts", event["at_us"] // MINUTE_US]
        says = f"{org} started {started} in a minute and is promised {placed}, of at most {most}"
        require(most is None or placed + started <= most, says)


def before_clearing(caps: CapBooks, books: Books) -> None:
    """Remembers who held what."""
    if caps.caps or caps.bounds:
        caps.before = _held(caps, books)
        caps.seated = frozenset({*books.live, *books.promises})
        caps.promised = frozenset(books.promises)


def after_clearing(caps: CapBooks, books: Books, event: Record) -> None:
    """Looks at what bids of capped users and orgs got."""
    if caps.bounds:
        _check_starts(caps, books, event)
    if not caps.caps:
        return
    held = _held(caps, books)
    for capped, (bids, on_demand) in held.items():
        most = caps.caps[capped].get("most_gpus")
        is_more = bids > caps.before.get(capped, (0, 0))[0]
        says = f"bids of {capped[1]} hold {bids} GPUs beside {on_demand}, of at most {most}"
        require(most is None or not is_more or bids + on_demand <= most, says)
    for won in event["won"]:
        name = won["demand"].get("workload")
        workload = books.workloads.get(name or "", {})
        if name in caps.seated or _kind(workload) != "spot":
            continue
        for capped in _capped_by(workload):
            _check_money(caps, books, capped, won, event)


def _check_money(caps: CapBooks, books: Books, capped: Capped, won: Record, event: Record) -> None:
    most = caps.caps.get(capped, {}).get("micros")
    if most is None:
        return
    promise = won["promise"]
    terms = books.terms[market_of(books, promise, alone=event["market"])]
    gpus = sum(seat["gpus"] for seat in promise["seats"])
    leave_us = terms["clearing_interval_us"] + terms["notice_us"] + terms["kill_us"]
    costs = promise["rates"][-1]["price_micros"] * gpus * leave_us // HOUR_US
    spent = _spent(caps, capped, month_of(event["at_us"]))
    name = won["demand"]["workload"]
    says = f"{name} starts at {costs}, of a cap of {most} of {capped[1]} {spent} are spent"
    require(spent + costs <= most, says)


def _held(caps: CapBooks, books: Books) -> dict[Capped, tuple[int, int]]:
    """(GPUs of bids, GPUs on demand) of each user and org with a cap on GPUs."""
    found: dict[Capped, tuple[int, int]] = {}
    bounded = {capped for capped, cap in caps.caps.items() if cap.get("most_gpus") is not None}
    for name in {*books.live, *books.promises} if bounded else ():
        workload = books.workloads[name]
        promise = books.promises.get(name)
        promised = sum(seat["gpus"] for seat in promise["seats"]) if promise else 0
        run = books.runs.get(books.live.get(name, ""))
        gpus = max(promised, run.gpus if run is not None else 0)
        kind = _kind(workload)
        for capped in bounded.intersection(_capped_by(workload)):
            bids, on_demand = found.get(capped, (0, 0))
            if kind == "spot":
                found[capped] = (bids + gpus, on_demand)
            elif kind == "on-demand":
                found[capped] = (bids, on_demand + gpus)
    return found


def _kind(workload: Record) -> str | None:
    kind = workload.get("spec", {}).get("capacity", {}).get("kind")
    return None if kind is None else str(kind)


def _capped_by(workload: Record) -> tuple[Capped, Capped]:
    return ("user", workload.get("user", "")), ("org", workload["org"])


def _spent(caps: CapBooks, capped: Capped, month: str) -> int:
    if caps.caps[capped]["period"] != "month":
        return caps.spent[capped]
    known, spent = caps.in_month.get(capped, (month, 0))
    return spent if known == month else 0


def month_of(at_us: int) -> str:
    """Like 2026-11."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us):%Y-%m}"
