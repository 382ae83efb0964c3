"""A second opinion on the on-demand that lists of capacity buy, from events alone.

The price is the posted one of the submission. A window ends `max_duration` after the first start;
of work that never started, so long after the purchase and the time in which others leave.
"""

from dataclasses import dataclass

from parkade.core.fleet.market import MarketTerms
from parkade.core.state import events, lines
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Rate, Workload
from parkade.sim.findings import require

INVARIANT = 46


@dataclass(kw_only=True)
class Window:
    """What a list may buy, or has bought."""

    market: str
    price_micros: int
    lasts_us: int
    ends_us: int | None = None
    """None where that depends on when it starts or buys."""

    is_bought: bool = False
    has_started: bool = False


class WindowAuditor:
    """Reads events one by one; Breach at the first thing that must not be."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}
        self._posted_micros: dict[str, int] = {}
        self._terms: dict[str, MarketTerms] = {}

    def read(self, event: events.AnyEvent) -> None:
        """The next event."""
        match event:
            case events.PoolOpened(market=market) | events.NodesAdded(market=market):
                if market is not None:
                    self._terms[market.market] = market.terms
                    self._posted_micros[market.market] = market.terms.pay_as_you_go_micros
            case events.TermsChanged(market=name, terms=terms):
                self._terms[name] = terms
            case events.PricesSet(market=name, pay_as_you_go_micros=micros):
                self._posted_micros[name] = micros
            case events.Submitted(workload=workload) | events.Resubmitted(workload=workload):
                self._submit(workload)
            case events.Started(workload=name) if name in self._windows:
                self._start(self._windows[name], event.at_us)
            case events.BoundsChanged(workload=name) if name in self._windows:
                self._change(self._windows[name], event)
            case events.EntryTaken(workload=name) if name in self._windows:
                self._take(self._windows[name], event)
            case events.Cleared():
                for won in event.won:
                    self._check_price(lines.name_of(won.demand), won.promise.rates[-1])
                for repriced in event.repriced:
                    self._check_price(repriced.workload, repriced.rate)
            case _:
                pass

    def may_buy(self, name: str) -> bool:
        """Whether a window is or was for sale to a list."""
        return name in self._windows

    def rest_us(self, name: str, now_us: int) -> int:
        """How long the window of a list lasts still, or would, were it bought now."""
        window = self._windows[name]
        return window.lasts_us if window.ends_us is None else max(0, window.ends_us - now_us)

    def price_micros(self, name: str) -> int:
        """Of its window, per GPU-hour."""
        return self._windows[name].price_micros

    def _submit(self, workload: Workload) -> None:
        spec, name = workload.spec, workload.workload
        self._windows.pop(name, None)
        if all(it.kind is not CapacityKind.ON_DEMAND for it in spec.entries):
            return
        posted = self._posted_micros[workload.market]
        agreed, lasts_us = workload.window_price_micros, spec.max_duration_us
        require(agreed == posted, INVARIANT, f"{name} may buy at {agreed}, posted is {posted}")
        require(lasts_us is not None, INVARIANT, f"{name} may buy a window without an end")
        assert lasts_us is not None
        self._windows[name] = Window(market=workload.market, price_micros=posted, lasts_us=lasts_us)

    def _start(self, window: Window, at_us: int) -> None:
        window.has_started = True
        if window.ends_us is None:
            window.ends_us = at_us + window.lasts_us

    def _change(self, window: Window, event: events.BoundsChanged) -> None:
        lasts_us, name = event.max_duration_us, event.workload
        require(lasts_us is not None, INVARIANT, f"{name} has a window and no end any more")
        assert lasts_us is not None
        if window.ends_us is not None:
            window.ends_us += lasts_us - window.lasts_us
        window.lasts_us = lasts_us

    def _take(self, window: Window, event: events.EntryTaken) -> None:
        if window.is_bought and not window.has_started:
            window.ends_us = None
        window.is_bought = event.capacity.kind is CapacityKind.ON_DEMAND
        if not window.is_bought:
            return
        if window.ends_us is None:
            leave_us = self._terms[window.market].leave_us
            window.ends_us = event.at_us + leave_us + window.lasts_us
        says = f"{event.workload} buys until {event.must_end_us}, not until {window.ends_us}"
        require(event.must_end_us == window.ends_us, INVARIANT, says)

    def _check_price(self, name: str, rate: Rate) -> None:
        window = self._windows.get(name)
        if window is not None and window.is_bought:
            says = f"{name} pays {rate.price_micros} for its window, agreed was"
            is_agreed = rate.price_micros == window.price_micros
            require(is_agreed, INVARIANT, f"{says} {window.price_micros}")
