"""What waits for others, told from the events alone: it has no seats before all it waits for came
about, it is not kept waiting afterwards, and it does not wait for what can no longer come about.

It reads what the others did by itself and knows the conditions by their names only.
"""

from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.sim.findings import require


class ChainAuditor:
    """Follows one journal from its first entry. Raises Breach."""

    def __init__(self) -> None:
        self._waits: dict[str, set[tuple[str, str]]] = {}
        """By workload: (condition, other) that did not come about yet."""
        self._started: set[str] = set()
        self._ended: dict[str, str] = {}

    def read(self, event: events.AnyEvent) -> None:
        """Takes the next event in."""
        match event:
            case events.Submitted(workload=workload):
                after = {(it.condition.value, it.workload) for it in workload.spec.after}
                left = {one for one in after if not self._is_met(*one)}
                name = workload.workload
                # A member that is retried is submitted once more, and starts anew.
                self._ended.pop(name, None)
                self._started.discard(name)
                is_held = workload.phase == "held"
                require(is_held or not left, 36, f"{name} waits for {left} and is {workload.phase}")
                if left:
                    self._waits[name] = left
                wrong = [one for one in left if self._is_hopeless(*one)]
                require(not wrong, 36, f"{name} waits for {wrong}, which will never be")
            case events.Started(workload=name):
                self._started.add(name)
                self._settle()
            case events.Ended(workload=name, phase=phase) if phase.is_ended:
                self._ended[name] = phase.value
                self._settle()
            case events.PhaseChanged(workload=name, phase=phase, why=why) if phase.is_ended:
                if why == "dependency_failed":
                    self._check_hopeless(name)
                self._ended[name] = phase.value
                self._waits.pop(name, None)
                self._settle()
            case events.PhaseChanged(workload=name, phase=phase):
                is_free = phase != "queued" or not self._waits.get(name)
                require(is_free, 36, f"{name} is {phase} and waits for {self._waits.get(name)}")
            case events.Resubmitted(workload=workload):
                # It is to start anew: what is told to come after it from now on waits for that.
                self._ended.pop(workload.workload, None)
                self._started.discard(workload.workload)
            case events.MembersRetried(workload=name):
                self._ended.pop(name, None)
            case events.DependenciesMet(workload=name, met=met):
                for one in met:
                    is_met = self._is_met(one.condition.value, one.workload)
                    require(is_met, 36, f"{name} goes on after {one}, which was not")
            case events.Cleared(won=won):
                for winner in won:
                    name = lines.name_of(winner.demand)
                    waits = self._waits.get(name, set())
                    require(not waits, 36, f"{name} is given seats and waits for {waits}")
            case _:
                pass

    def check_waiting(self, world: World) -> None:
        """Nothing waits in the world for what came about, or never will."""
        for name in world.live:
            waits = {
                (it.condition.value, it.workload) for it in world.records.workloads[name].waits_for
            }
            expected = self._waits.get(name, set())
            require(waits == expected, 36, f"{name} waits for {waits}, and by rights {expected}")

    def _settle(self) -> None:
        self._waits = {
            name: left
            for name, before in self._waits.items()
            if (left := {one for one in before if not self._is_met(*one)})
        }

    def _is_met(self, condition: str, other: str) -> bool:
        end = self._ended.get(other)
        if condition == "after":
            return other in self._started or end is not None
        if condition == "after_any":
            return end is not None
        return end is not None and (end == "succeeded") == (condition == "after_ok")

    def _is_hopeless(self, condition: str, other: str) -> bool:
        return other in self._ended and not self._is_met(condition, other)

    def _check_hopeless(self, name: str) -> None:
        left = self._waits.get(name, set())
        is_right = any(self._is_hopeless(*one) for one in left)
        require(is_right, 36, f"{name} is cancelled while all of {left} may still be")
