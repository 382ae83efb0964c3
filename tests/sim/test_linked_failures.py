"""Clearings of linked markets that fail for some minutes break no promise of a story."""

from msgspec.structs import replace

from parkade.control.rules import Rules
from parkade.core.clearing.linking import linked_with
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import MINUTE_US
from parkade.sim.story import Story, StoryPlan


class IllAtTimes(Story):
    """A story in which markets cannot be cleared together in five of fifteen minutes."""

    failed = apart = 0

    def _rules(self) -> Rules:
        rules = super()._rules()

        def decide(
            world: World, command: commands.AnyCommand, now_us: int
        ) -> tuple[events.AnyEvent, ...] | Refusal:
            if isinstance(command, commands.RunClearing) and command.by is None:
                is_ill = now_us // (5 * MINUTE_US) % 3 == 0
                are_linked = len(linked_with(world, command.market)) > 1
                self.apart += command.is_apart and are_linked
                if is_ill and are_linked and not command.is_apart:
                    self.failed += 1
                    raise RuntimeError("this story makes it fail")
            return rules.decide(world, command, now_us)

        return replace(rules, decide=decide)


def test_markets_that_fail_together_are_cleared_apart_and_together_again() -> None:
    story = IllAtTimes(StoryPlan(seed=708, events=300))
    outcome = story.tell()
    assert outcome.findings == ()
    assert story.failed > 5 and story.apart > 20
