"""Makes a failing story small: the fewest of its acts that still break the same invariant.

Acts draw from streams of their own, so a story without some of them is still a story. Parts of the
acts are left out, halves first and at last single ones, as long as the same invariant breaks; each
try is a run of the story, and their number is bounded.
"""

from collections.abc import Callable

from msgspec.structs import replace

from parkade.sim.story import Story, StoryOutcome, StoryPlan

MOST_TRIES = 150

Tell = Callable[[StoryPlan], StoryOutcome]


def tell(plan: StoryPlan) -> StoryOutcome:
    """Plays a story."""
    return Story(plan).tell()


def shrink(
    plan: StoryPlan, outcome: StoryOutcome, *, tries: int = MOST_TRIES, play: Tell = tell
) -> StoryPlan:
    """A plan of fewer acts that breaks the same invariant; the plan itself where there is none.
    Costs at most `tries` runs, each no longer than the story."""
    assert outcome.findings, "a story that breaks nothing is not shrunk"
    invariant = outcome.findings[0].invariant
    acts = outcome.acts

    def breaks(chosen: tuple[int, ...]) -> bool:
        found = play(replace(plan, only=chosen)).findings
        return bool(found) and found[0].invariant == invariant

    if not breaks(acts):
        return plan
    left = tries - 1
    parts = 2
    while len(acts) > 1 and left > 0:
        size = -(-len(acts) // parts)
        for start in range(0, len(acts), size):
            kept = acts[:start] + acts[start + size :]
            left -= 1
            if breaks(kept):
                acts, parts = kept, max(parts - 1, 2)
                break
            if left <= 0:
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(acts))
    return replace(plan, only=acts)
