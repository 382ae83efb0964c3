"""Plays story after story and tells what broke, each with a command line that repeats it.

Several processes may play: each story is one process's, and they are told in the order of their
seeds, so the report but for its times does not depend on how many there are.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor

import msgspec
from msgspec.structs import replace

from parkade.sim.findings import Finding
from parkade.sim.shrink import Tell, shrink, tell
from parkade.sim.spent import cpu_s
from parkade.sim.story import StoryOutcome, StoryPlan

REPORT_VERSION = 1


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A story that broke an invariant, and the shortest command line that repeats it."""

    seed: int
    finding: Finding
    command: str


class FuzzReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a series of stories came to. `kinds`: committed events by kind; `moves`: by cause;
    `owners_longest_s`: the longest wait of an owner for promised seats whose nodes stayed in play.
    Written by `--json`; a field is added with a default and never renamed."""

    stories: int
    events: int
    simulated_s: float
    deaths: int
    owners_seated: int
    owners_longest_s: float
    kinds: dict[str, int]
    moves: dict[str, int]
    digests: dict[str, str]
    """By seed."""

    broken: tuple[Broken, ...]
    version: int = REPORT_VERSION
    jobs: int = 1
    """Processes that played."""
    cpu_s: float = 0.0
    """Of all of them."""
    wall_s: float = 0.0


def fuzz(
    plan: StoryPlan,
    seeds: Sequence[int],
    *,
    shrinks: bool,
    played: Callable[[StoryOutcome], None],
    jobs: int = 1,
    seconds: float | None = None,
    play: Tell = tell,
) -> FuzzReport:
    """Plays the plan with each seed. `played` is called after each story; `shrinks`: a story that
    broke something is made small, which costs many runs of it; `jobs`: processes that play;
    `seconds`: after so many no further story begins. `play` plays each story the first time; a
    function of a module, where several processes do."""
    began = (cpu_s(), time.monotonic())

    def chosen() -> Iterator[StoryPlan]:
        for seed in seeds:
            if seconds is not None and time.monotonic() - began[1] >= seconds:
                return
            yield replace(plan, seed=seed)

    outcomes: list[StoryOutcome] = []
    broken: list[Broken] = []
    for one, small in _played(chosen(), play, shrinks=shrinks, jobs=jobs):
        outcomes.append(one)
        played(one)
        if small is not None:
            found = Broken(seed=one.seed, finding=one.findings[0], command=command_of(small))
            broken.append(found)
    return FuzzReport(
        jobs=jobs,
        cpu_s=round(cpu_s() - began[0], 3),
        wall_s=round(time.monotonic() - began[1], 3),
        stories=len(outcomes),
        events=sum(one.events for one in outcomes),
        simulated_s=sum(one.simulated_s for one in outcomes),
        deaths=sum(one.deaths for one in outcomes),
        owners_seated=sum(one.owners_seated for one in outcomes),
        owners_longest_s=max((one.owners_longest_s for one in outcomes), default=0.0),
        kinds=_added(one.kinds for one in outcomes),
        moves=_added(one.moves for one in outcomes),
        digests={str(one.seed): one.digest for one in outcomes},
        broken=tuple(broken),
    )


PlayedStory = tuple[StoryOutcome, StoryPlan | None]
"""What a story came to, and where it broke something the plan that repeats it."""


def _played(
    plans: Iterator[StoryPlan], play: Tell, *, shrinks: bool, jobs: int
) -> Iterator[PlayedStory]:
    """Each in order; at most two for each process are begun before the first of them is told."""
    if jobs == 1:
        yield from (_play(one, play, shrinks) for one in plans)
        return
    waiting: deque[Future[PlayedStory]] = deque()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for one in plans:
            waiting.append(pool.submit(_play, one, play, shrinks))
            if len(waiting) >= 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _play(plan: StoryPlan, play: Tell, shrinks: bool) -> PlayedStory:
    outcome = play(plan)
    if not outcome.findings:
        return outcome, None
    return outcome, shrink(plan, outcome) if shrinks else plan


def command_of(plan: StoryPlan) -> str:
    """The command line that plays a plan."""
    words = ["parkade sim fuzz", f"--seed {plan.seed}", f"--events {plan.events}"]
    if plan.nodes is not None:
        words.append(f"--nodes {plan.nodes}")
    if plan.families is not None:
        words.append(f"--troubles {','.join(plan.families) or 'none'}")
    if plan.only is not None:
        words.append(f"--only {format_acts(plan.only)}")
    return " ".join(words)


def format_acts(acts: Sequence[int]) -> str:
    """Numbers as a list with ranges: 3,8,19-24."""
    runs: list[list[int]] = []
    for number in acts:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def parse_acts(text: str) -> tuple[int, ...]:
    """The reverse; ValueError for anything else, or more than a hundred thousand acts."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = int(first), int(last or first)
        if not 1 <= begin <= end <= MOST_ACT or len(found) + end - begin > MOST_ACT:
            raise ValueError(f"{part!r} are no numbers of acts")
        found += range(begin, end + 1)
    return tuple(found)


MOST_ACT = 10_000_000


def _added(counts: Iterator[dict[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in counts:
        for name, number in one.items():
            sums[name] = sums.get(name, 0) + number
    return dict(sorted(sums.items()))
