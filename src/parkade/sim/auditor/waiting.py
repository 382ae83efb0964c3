"""What the ranks of a live attempt cost that have begun, apart from those that have not.

All prices of a clearing are of all ranks that stay. Those that run have as many: each the least
that is not below its price before, as far as that was a floor. The others wait, and one that begins
has the least of them, in each rate since it began. Written apart from the core's own code.
"""

from parkade.sim.auditor.books import Record, require


def split(full: Record, before: Record, count: int, gpus: int, from_us: int) -> Record:
    """The rate of those that have begun, with what waits beside it."""
    floor = min(full.get("floor_micros") or 0, before.get("floor_micros") or 0)
    known = list(before.get("node_prices") or [before["price_micros"]])[:count]
    bounds = [0] * (count - len(known)) + sorted(min(it, floor) for it in known)
    rest, begun = sorted(full["node_prices"]), []
    for bound in reversed(bounds):
        fits = [it for it in rest if it >= bound]
        begun.append(fits[0] if fits else rest[-1])
        rest.remove(begun[-1])
    each = gpus // count if count else 0
    whole = dict(full["shares"])
    shares = _earned(sum(begun) * each, whole, dict(before["shares"]))
    waits = {name: micros - shares.get(name, 0) for name, micros in whole.items()}
    return {
        **full,
        "from_us": from_us,
        "gpus": gpus,
        "node_prices": sorted(begun),
        "price_micros": -(-sum(begun) // count) if count else 0,
        "shares": _listed(shares),
        "waiting_prices": rest,
        "waiting_shares": _listed(waits),
    }


def begin(rates: list[Record], gpus: int, at_us: int, until_us: int | None) -> None:
    """A rank had begun at an instant; its price is in the rates from then on, until it was told to
    leave."""
    last = max(place for place, rate in enumerate(rates) if rate["from_us"] <= at_us)
    if rates[last]["from_us"] < at_us:
        rates.insert(last + 1, {**rates[last], "from_us": at_us})
        last += 1
    for place in range(last, len(rates)):
        rate = rates[place]
        if until_us is not None and rate["from_us"] >= until_us:
            break
        require(bool(rate.get("waiting_prices")), "a rank begins, and no price waits for it")
        price, *others = rate["waiting_prices"]
        waits = dict(rate["waiting_shares"])
        part = _earned(min(price * gpus, sum(waits.values())), waits, {})
        shares = dict(rate["shares"])
        for name, micros in part.items():
            shares[name] = shares.get(name, 0) + micros
            waits[name] -= micros
        prices = sorted([*rate["node_prices"], price])
        rates[place] = {
            **rate,
            "gpus": rate["gpus"] + gpus,
            "node_prices": prices,
            "price_micros": -(-sum(prices) // len(prices)),
            "shares": _listed(shares),
            "waiting_prices": others,
            "waiting_shares": _listed(waits),
        }


def _earned(due: int, whole: dict[str, int], first: dict[str, int]) -> dict[str, int]:
    """By account, its part of what all earn: as before, as far as that goes, then pro rata of what
    is left; what does not divide is the operator's first, then by account."""
    found = {name: min(micros, whole.get(name, 0)) for name, micros in first.items()}
    if (known := sum(found.values())) > due:
        found = {name: micros * due // known for name, micros in found.items()}
    rest, room = due - sum(found.values()), sum(whole.values()) - sum(found.values())
    more = {
        name: (micros - found.get(name, 0)) * rest // room if room else 0
        for name, micros in whole.items()
    }
    for name, micros in more.items():
        found[name] = found.get(name, 0) + micros
    odd = due - sum(found.values())
    for name in sorted(whole, key=lambda it: (it != "operator", it)):
        given = min(odd, whole[name] - found.get(name, 0))
        found[name] = found.get(name, 0) + given
        odd -= given
    return found


def _listed(shares: dict[str, int]) -> list[list[object]]:
    return [[name, micros] for name, micros in sorted(shares.items()) if micros]
