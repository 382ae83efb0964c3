"""A second opinion on work with a deadline, from events alone.

It becomes on-demand at the last moment at which on-demand makes the deadline, neither sooner nor
later: the deadline, less what is left to run, less notice, kill, turnaround, the pause between two
clearings, and the start grace. What was saved counts: of each attempt from its first process to its
last checkpoint, or to the notice after which it said that it saved, the later of both, less the
start grace. The terms are those of its submission.
"""

from dataclasses import dataclass

from parkade.core.fleet.market import MarketTerms
from parkade.core.state import events
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload
from parkade.sim.findings import require

INVARIANT = 40


@dataclass(kw_only=True)
class Due:
    """Work that has a deadline and is not on-demand yet."""

    market: str

    terms: MarketTerms | None
    """Those of its sale; None: those in force, in journals of before they held."""

    submitted_us: int
    by_us: int
    duration_us: int
    saved_us: int = 0
    started_us: int | None = None
    checkpoint_us: int | None = None
    noticed_us: int | None = None

    def ran_us(self, until_us: int, grace_us: int) -> int:
        """For how long its attempt had run by then, its start apart."""
        return 0 if self.started_us is None else max(0, until_us - self.started_us - grace_us)


class FallbackAuditor:
    """Reads events one by one; Breach at the first thing that must not be."""

    def __init__(self) -> None:
        self._due: dict[str, Due] = {}
        self._saved: dict[str, int] = {}
        """What those that ended had saved of their running."""

        self._terms: dict[str, MarketTerms] = {}

    def read(self, event: events.AnyEvent) -> None:
        """The next event."""
        match event:
            case events.PoolOpened(market=market) | events.NodesAdded(market=market):
                if market is not None:
                    self._terms[market.market] = market.terms
            case events.TermsChanged(market=market_name, terms=terms):
                self._terms[market_name] = terms
            case events.Submitted(workload=workload) | events.Resubmitted(workload=workload):
                self._submit(workload)
            case events.Started(workload=name) if name in self._due:
                self._due[name].started_us = event.at_us
            case events.Checkpointed(workload=name) if name in self._due:
                self._due[name].checkpoint_us = event.at_us
            case events.StopOrdered(workload=name, stop=stop) if name in self._due:
                self._due[name].noticed_us = stop.noticed_us
            case events.Ended(workload=name) if name in self._due:
                self._end(event)
            case events.PhaseChanged(workload=name, phase=phase) if phase.is_ended:
                self._over(name)
            case events.FellBack(workload=name):
                due = self._due.pop(name)
                right_us = self._falls_back_us(due)
                says = f"{name} fell back at {event.at_us}, not at {right_us}"
                require(event.at_us == right_us, INVARIANT, says)
            case events.Cleared():
                self._clear(event)
            case _:
                pass

    def _submit(self, workload: Workload) -> None:
        deadline = workload.spec.deadline
        if deadline is not None and workload.spec.capacity.kind is CapacityKind.SPOT:
            saved_us, name = workload.saved_us, workload.workload
            # In journals of before they were kept, a submission anew has no savings.
            right_us = self._saved.pop(name, 0)
            says = f"{name} goes on from {saved_us} us of {deadline.duration_us}, not {right_us}"
            require(saved_us in (0, right_us), INVARIANT, says)
            self._due[workload.workload] = Due(
                market=workload.market,
                terms=self._terms[workload.market] if _keeps_terms(workload) else None,
                submitted_us=workload.submitted_us,
                by_us=deadline.by_us,
                duration_us=deadline.duration_us,
                saved_us=saved_us,
            )

    def _end(self, event: events.Ended) -> None:
        due = self._due[event.workload]
        due.saved_us = self._saved_us(due)
        if event.is_saved:
            until_us = event.at_us if due.noticed_us is None else due.noticed_us
            ran_us = due.ran_us(until_us, self._terms_of(due).start_grace_us)
            due.saved_us += max(0, ran_us - self._by_checkpoint_us(due))
        if event.phase.is_ended:
            self._over(event.workload)
        due.started_us = due.checkpoint_us = due.noticed_us = None

    def _over(self, name: str) -> None:
        due = self._due.pop(name, None)
        if due is not None and due.saved_us:
            self._saved[name] = due.saved_us

    def _by_checkpoint_us(self, due: Due) -> int:
        if due.checkpoint_us is None:
            return 0
        return due.ran_us(due.checkpoint_us, self._terms_of(due).start_grace_us)

    def _terms_of(self, due: Due) -> MarketTerms:
        return self._terms[due.market] if due.terms is None else due.terms

    def _saved_us(self, due: Due) -> int:
        return due.saved_us + self._by_checkpoint_us(due)

    def _falls_back_us(self, due: Due) -> int:
        terms = self._terms_of(due)
        left_us = max(0, due.duration_us - self._saved_us(due))
        leave_us = terms.notice_us + terms.kill_us + terms.turnaround_us
        lead_us = leave_us + terms.clearing_pause_us + terms.start_grace_us
        return max(due.submitted_us, due.by_us - left_us - lead_us)

    def _clear(self, event: events.Cleared) -> None:
        for leaving in event.left:
            name = getattr(leaving.demand, "workload", None)
            if name in self._due and leaving.stop is not None:
                self._due[name].noticed_us = leaving.stop.noticed_us
        for name, due in self._due.items():
            is_late = self._falls_back_us(due) < event.at_us
            require(not is_late, INVARIANT, f"{name} bids still, past its last moment")


def _keeps_terms(workload: Workload) -> bool:
    """Whether the terms of its sale hold for it."""
    return workload.fallback is not None and workload.fallback.terms is not None
