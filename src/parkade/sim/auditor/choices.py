"""Bids with several markets, in the books of money: where they are, and their limit there."""

from parkade.sim.auditor.books import Books, Record


def market_of(books: Books, promise: Record, *, alone: str | None = None) -> str:
    """The market whose seats are promised; `alone`: of a journal that leaves out its nodes."""
    node = promise["seats"][0]["node"]
    return books.places[node] if alone is None else books.places.get(node, alone)


def in_market(workload: Record, market: str) -> Record:
    """The workload as it bids there."""
    for choice in workload["spec"].get("choices", ()):
        if choice["market"] == market:
            spec = {**workload["spec"], "limit_price_micros": choice["limit_price_micros"]}
            return {**workload, "market": market, "spec": spec}
    return workload


def with_limit(workload: Record, market: str | None, limit_micros: int) -> Record:
    """Its spec with another limit there; None: it bids in one market."""
    spec: Record = workload["spec"]
    if market is None:
        if not spec.get("entries"):
            return {**spec, "limit_price_micros": limit_micros}
        now = None if spec["limit_price_micros"] is None else limit_micros
        return {**spec, "limit_price_micros": now, "spot_limit_micros": limit_micros}
    choices = [
        {**it, "limit_price_micros": limit_micros} if it["market"] == market else it
        for it in spec["choices"]
    ]
    is_here = market == workload["market"]
    here = limit_micros if is_here else spec["limit_price_micros"]
    return {**spec, "choices": choices, "limit_price_micros": here}


def settle(books: Books, name: str) -> None:
    """What holds no seats is where it is promised some, else in the first market of its list."""
    workload = books.workloads[name]
    choices = workload.get("spec", {}).get("choices")
    if not choices or name in books.live:
        return
    promise = books.promises.get(name)
    market = choices[0]["market"] if promise is None else market_of(books, promise)
    books.workloads[name] = in_market(workload, market)
