"""The end of a story with sick nodes: nothing more goes wrong, and every incident must end.

Faults of the surroundings are over, work is cancelled, boards are changed, and a person goes
through what waits for one. Then each incident ends in one of its outcomes within a few hours, or
the story has a finding. Not asked of a story in which a backup was put back: its agents may wait
for an operator for ever.
"""

from typing import TYPE_CHECKING

from parkade.core.fleet.maintenance import is_window
from parkade.core.fleet.node import MARS
from parkade.core.healing.incident import Next
from parkade.core.state import commands
from parkade.core.units.time import MINUTE_US
from parkade.sim.fleet import OPERATOR, owner_of

if TYPE_CHECKING:
    from parkade.sim.story import Story

TURNS = 12
TURN_US = 40 * MINUTE_US


class Aftermath:
    """See the module."""

    def __init__(self, story: "Story") -> None:
        self._story = story

    def play(self) -> None:
        """Turns of a person's, until no incident is open."""
        story = self._story
        if story.judge.findings:
            return
        story.is_calm = True
        self._calm_down()
        for _ in range(TURNS):
            self._help()
            until_us = story.loop.now_us + TURN_US
            story.loop.at_us(until_us, lambda: None)
            story.loop.run_until(until_us, self._is_broken)
            if self._is_broken() or not story.judge.mars.left():
                return
        if not story.judge.was_restored:
            left = ", ".join(story.judge.mars.left())
            story.judge.find(23, f"{left} had no end though nothing more went wrong")

    def _is_broken(self) -> bool:
        return bool(self._story.judge.findings)

    def _calm_down(self) -> None:
        story = self._story
        server = story.server
        server.fuse, server.slow_us, server.disk.is_full = None, 0, False
        server.clearings_us = 0
        for pool in story.pools:
            pool.fuse, pool.disk.is_full, weather = None, False, pool.weather
            weather.cut_until_us = weather.deaf_until_us = weather.delayed_until_us = 0
            weather.repeats_until_us = weather.engine_until_us = weather.refuses_until_us = 0
            weather.repairs_until_us = 0
            if pool.queue is not None:
                pool.queue.calm_down()
            for node in pool.hardware.nodes:
                pool.hardware.change_board(node)
                pool.machines.mend(node)

    def _help(self) -> None:
        """What a person does who wants every node back."""
        story, world = self._story, self._story.world
        assert world is not None
        story.ask(commands.ConfirmClock(by=OPERATOR))
        story.ask(
            commands.SetAutomation(by=OPERATOR, is_on=True, is_limited=False, reason="it is over")
        )
        for claim in list(world.records.claims.values()):
            story.ask(commands.Unclaim(by=owner_of(claim.org), claim=claim.claim))
        for name in list(world.live):
            by = owner_of(world.records.workloads[name].org)
            story.ask(commands.Cancel(by=by, workload=name, now=True))
        for name in list(world.records.maintenance):
            story.ask(commands.CancelMaintenance(by=OPERATOR, maintenance=name))
        for node in list(world.records.nodes.values()):
            incident = world.open_incident(node.node)
            for cordon in node.cordons:
                is_of_people = not cordon.is_of_others and cordon.holder != MARS
                if is_of_people and not is_window(cordon.holder):
                    story.ask(commands.UncordonNode(by=cordon.holder, node=node.node))
            if incident is not None and incident.next is Next.PERSON:
                story.ask(commands.RestoreNode(by=OPERATOR, node=node.node))
