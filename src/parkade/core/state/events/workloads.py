"""Events about one workload or array and its attempts, outside a clearing."""

from parkade.core.state.events.event import Event
from parkade.core.units.indexes import Spans
from parkade.core.workloads.dependency import Dependency
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import Capacity
from parkade.core.workloads.workload import Attempt, Rank, Rate, Stop, Workload


class AboutWorkloads(Event, frozen=True, kw_only=True):
    """All events about one workload."""


class Submitted(AboutWorkloads, frozen=True, kw_only=True):
    """A workload was accepted."""

    workload: Workload


class Resubmitted(AboutWorkloads, frozen=True, kw_only=True):
    """A workload that had ended goes on under its id: its record as it is from now on."""

    workload: Workload


class PhaseChanged(AboutWorkloads, frozen=True, kw_only=True):
    """A workload was held, released, or ended without an attempt to stop."""

    workload: str
    phase: Phase
    why: str


class DependenciesMet(AboutWorkloads, frozen=True, kw_only=True):
    """Others that a workload waited for started or ended as it wants; `phase` is what it becomes,
    and `why` says why it still waits."""

    workload: str
    met: tuple[Dependency, ...]
    phase: Phase
    why: str


class BidChanged(AboutWorkloads, frozen=True, kw_only=True):
    """A new limit per GPU-hour. `members`: of an array, those that wait to be opened and bid this;
    none: the array itself, and so all that wait."""

    workload: str
    limit_price_micros: int
    members: Spans = ()

    market: str | None = None
    """Of a bid with several markets, the one whose limit it is; None for others."""


class BoundsChanged(AboutWorkloads, frozen=True, kw_only=True):
    """`max_spend` and `max_duration` of a workload are these from now on; None: it has none.

    `must_end_us`: when its seats must be free by it; `is_budget_noted`: whether the event at 80 %
    counts as made. `members`: of an array, those that wait to be opened and take this
    `max_duration`; none: the array itself, and so all that wait and have none of their own."""

    workload: str
    max_spend_micros: int | None
    max_duration_us: int | None
    must_end_us: int | None
    is_budget_noted: bool
    members: Spans = ()


class FellBack(AboutWorkloads, frozen=True, kw_only=True):
    """Spot work becomes on-demand, so that it makes its deadline: with a window in this fabric, at
    the price that was agreed when it was submitted, until `must_end_us`."""

    workload: str
    fabric: str
    must_end_us: int

    withdraws: bool
    """Whether it gives up seats that it was promised in another fabric."""


class EntryTaken(AboutWorkloads, frozen=True, kw_only=True):
    """A workload that waits asks for another entry of its list of capacity: in the clearing that
    follows at the same instant, or because its reservation ended. One that runs goes on with an
    earlier entry, on its seats. On-demand is bought with it, at the price agreed before."""

    workload: str
    capacity: Capacity

    fabric: str | None = None
    """On-demand: the fabric with its window in the calendar; None for other capacity."""

    must_end_us: int | None = None
    """On-demand: the end of its window; None for other capacity."""


class MembersOpened(AboutWorkloads, frozen=True, kw_only=True):
    """Members of an array take part from now on, each as a workload of its own."""

    workload: str
    members: Spans

    attempts_before: int = 0
    """The attempts from which those that ran before are numbered on, so that none of these counts
    for their back-off; 0: all count, as in journals of before this was said."""


class MembersEnded(AboutWorkloads, frozen=True, kw_only=True):
    """Members of an array that were not open will not be: they ended as `phase` says."""

    workload: str
    members: Spans
    phase: Phase
    why: str


class MembersRetried(AboutWorkloads, frozen=True, kw_only=True):
    """Members of an array that had ended wait to be opened again."""

    workload: str
    members: Spans


class StopOrdered(AboutWorkloads, frozen=True, kw_only=True):
    """An attempt must leave, decided outside a clearing; `phase` is what its workload becomes."""

    workload: str
    stop: Stop
    phase: Phase


class Launched(AboutWorkloads, frozen=True, kw_only=True):
    """All promised seats were free: the attempt is ordered."""

    workload: str
    attempt: Attempt


class Started(AboutWorkloads, frozen=True, kw_only=True):
    """The engine reported the first process, at `at_us`."""

    workload: str
    attempt: str


class Checkpointed(AboutWorkloads, frozen=True, kw_only=True):
    """The program reported a finished checkpoint."""

    workload: str
    attempt: str
    step: int


class Broken(AboutWorkloads, frozen=True, kw_only=True):
    """A node of the attempt failed; nothing after this is billed."""

    workload: str
    attempt: str


class RanksChanged(AboutWorkloads, frozen=True, kw_only=True):
    """Ranks joined a live attempt, were seen to have begun, left it, or were told to leave outside
    a clearing.

    `ranks` are all that it has from `at_us` on, `resizes` counts the change. `rate`: where ranks
    joined, what those that stay cost from then on; the promise that it had is kept by it."""

    workload: str
    attempt: str
    ranks: tuple[Rank, ...]
    resizes: int
    rate: Rate | None = None


class Ended(AboutWorkloads, frozen=True, kw_only=True):
    """The seats were seen free. `phase` is what the workload becomes, `summary` how it exited.

    `failures` and `preemptions` are the counts after it. `is_saved`: it said that it saved what it
    had and is to be run again; False in journals that did not say. `is_unstarted`: it ended before
    its first process by its org's own doing; False in journals of before this counted.
    `exit_code`: as `exit_code_of` has it; None where it is not known, and in journals of before it
    was kept. `held_us`: for how long it held its seats before its first process beyond what is
    free; billed unless it is the first of its org in a day. None in journals in which only
    `is_unstarted` counted. `held_in_grace_us`: the part of that time which is within the
    start grace, `held_idle_us`: that before the launch, in which its promise held idle seats for
    its own org; both are always billed. None in journals of before they were. `is_refused`: the
    engine did not start it by no doing of its org, and nothing is billed; False in journals of
    before this was told. `is_unadmitted`: because the engine takes no job of its user; then
    `not_before_us` holds for all work of that user in the market (`running.unadmitted`).
    """

    workload: str
    attempt: str
    phase: Phase
    why: str
    cause: Cause | None
    summary: str
    failures: int
    preemptions: int
    not_before_us: int
    is_saved: bool = False
    is_unstarted: bool = False
    exit_code: int | None = None
    held_us: int | None = None
    held_in_grace_us: int | None = None
    held_idle_us: int | None = None
    is_refused: bool = False
    is_unadmitted: bool = False


class BudgetNoted(AboutWorkloads, frozen=True, kw_only=True):
    """80 % of `max_spend` is spent."""

    workload: str


class ExecOpened(AboutWorkloads, frozen=True, kw_only=True):
    """A command was let in beside a rank of an attempt; the world is as it was. `program`: its
    first word; the others may hold secrets. `session` is its name in the server's log."""

    workload: str
    session: str
    attempt: str
    rank: int
    program: str
    has_terminal: bool


WorkloadStep = (
    PhaseChanged
    | DependenciesMet
    | BidChanged
    | BoundsChanged
    | FellBack
    | EntryTaken
    | MembersOpened
    | MembersEnded
    | MembersRetried
    | StopOrdered
    | Launched
    | Started
    | Checkpointed
    | Broken
    | RanksChanged
    | Ended
    | BudgetNoted
    | ExecOpened
)
"""Of one workload that is known, by its id in `workload`."""


WorkloadEvent = Submitted | Resubmitted | WorkloadStep
"""About one workload, outside a clearing."""
