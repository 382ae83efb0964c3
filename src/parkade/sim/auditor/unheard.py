"""What ranks of live attempts may have used before their beginning is heard of is kept for it.

A rank that joined may run though no report says so yet: its agent is silent, or late. So whenever a
bid of an org gets its first seats, the org's balance holds what its attempts have used and are not
charged for, and what such ranks cost if each began as it joined. Less than the program sets aside:
nothing for the time in which they could not be stopped. Written apart from the core's own code.

Example (`tests/sim/auditor/test_live.py`). A rank of two GPUs at 1 has run for eleven minutes, and
another joined ten minutes ago, of which nothing was heard. 0.70 may be used, so with 0.69 its org
gets no other seats.
"""

from parkade.sim.auditor.books import HOUR_US, Books, Record, Run, per_hour, require


def check(books: Books, event: Record, seated: set[str]) -> None:
    """Whether orgs whose bids get their first seats have what they may owe. `seated`: what had or
    was promised seats before this clearing."""
    names = (it["demand"].get("workload") for it in event["won"])
    new = [books.workloads[it] for it in names if it is not None and it not in seated]
    for org in {it["org"] for it in new if it["spec"].get("limit_price_micros") is not None}:
        runs = [books.runs[it] for it in books.live.values() if books.runs[it].org == org]
        if not any(_waits(it) for it in runs):
            continue
        owed = sum(may_owe_micros(it, event["at_us"]) for it in runs)
        has = books.balances[f"org/{org}"]
        require(
            has >= owed, f"{org} has {has} as it gets seats, and its ranks may have used {owed}"
        )


def may_owe_micros(run: Run, at_us: int) -> int:
    """What a run has used since it was last charged, and what its ranks may have used unheard."""
    ends_us = min(it for it in (at_us, run.kill_us, run.broken_us) if it is not None)
    used = 0
    for place, rate in enumerate(run.rates):
        until_us = run.rates[place + 1]["from_us"] if place + 1 < len(run.rates) else ends_us
        until_us = min(until_us, ends_us)
        from_us = max(rate["from_us"], run.charged_until_us)
        if run.started_us is not None:
            length_us = max(0, until_us - max(from_us, run.started_us))
            used += per_hour(rate, run.gpus) * length_us
        for rank, price in zip(_waits(run), rate.get("waiting_prices") or (), strict=False):
            length_us = max(0, until_us - max(from_us, rank["joined_us"]))
            used += price * rank["seat"]["gpus"] * length_us
    return int(used // HOUR_US)


def _waits(run: Run) -> list[Record]:
    """Ranks that stay and are not known to have begun."""
    return [
        it
        for it in run.ranks.values()
        if not it["leaving"] and it.get("start") and it["start"]["begun_us"] is None
    ]
