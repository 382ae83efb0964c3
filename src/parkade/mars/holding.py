"""Why an action waits, as codes for metrics and words for people."""

from typing import NamedTuple

from parkade.core.healing.guards import HoldReason
from parkade.core.healing.parents import Suspicion
from parkade.core.healing.topology import ParentKind
from parkade.core.healing.verdict import Verdict
from parkade.core.healing.watch import FleetWatch
from parkade.core.units.time import MINUTE_US


class Held(NamedTuple):
    """Why an action waits: a code, which is a label of metrics, and words for people."""

    code: str
    words: str


FAILED = "drain_failed"
HELD_BY_GUARD: dict[HoldReason, str] = {
    HoldReason.OBSERVE_ONLY: "the file does not say `act: true`",
    HoldReason.PARENT_SUSPECTED: "its rack, switch, fabric or driver version is suspected; look"
    " there, Mars does not drain it later",
    HoldReason.SECOND_SOURCE_NEEDED: "three nodes or more were drained within an hour, and one kind"
    " of sensor alone speaks of this one; drained when a second kind does",
    HoldReason.FABRIC_BUDGET: "the hour's budget of its fabric is used up; drained when it has"
    " room",
    HoldReason.FLEET_BUDGET: "the hour's budget of all nodes is used up; drained when it has room",
    HoldReason.POOL_BUDGET: "the budget of its pool is used up",
}
"""What a person reads of a guard that holds an action."""
KINDS = {ParentKind.DRIVER: "driver version"}


def held_by(reason: HoldReason) -> Held:
    """A guard's reason with its words."""
    return Held(reason.value, HELD_BY_GUARD[reason])


class GuardWords:
    """Says of a guard what it knows now: which parent is suspected. `names_fabrics` False: no node
    has a fabric by name, so all are one only because nothing else was said."""

    def __init__(self, watch: FleetWatch, *, names_fabrics: bool) -> None:
        self._watch = watch
        self._names_fabrics = names_fabrics

    def held(self, reason: HoldReason, verdict: Verdict) -> Held:
        """A guard's reason with its words, of the action of a verdict."""
        if reason is HoldReason.PARENT_SUSPECTED:
            suspected = self._watch.suspected_of(verdict)
            words = "; ".join(self._suspects(each) for each in suspected)
            return Held(reason.value, words) if words else held_by(reason)
        return held_by(reason)

    def name(self, suspicion: Suspicion) -> str:
        """What is suspected, in words."""
        if suspicion.kind is ParentKind.FABRIC and not self._names_fabrics:
            return "all nodes together"
        return f"{KINDS.get(suspicion.kind, suspicion.kind.value)} {suspicion.name}"

    def _suspects(self, suspicion: Suspicion) -> str:
        minutes = self._watch.settings.parents.window_us // MINUTE_US
        words = (
            f"{self.name(suspicion)}: {len(suspicion.nodes)} of {suspicion.members} nodes fell"
            f" sick within {minutes} min, more than by chance"
        )
        if suspicion.kind is ParentKind.FABRIC and not self._names_fabrics:
            return (
                f"{words}; the file names no `fabric`, `rack` or `switch` that they share, so look"
                " at each, Mars does not drain it later"
            )
        return f"{words}; look there, Mars does not drain it later"
