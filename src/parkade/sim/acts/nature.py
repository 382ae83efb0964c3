"""What goes wrong outside Parkade: machines, networks, processes, disks, clocks, backups."""

import random

from parkade.core.state import commands
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.sim.acts.stage import Stage
from parkade.sim.fleet import OPERATOR
from parkade.sim.server import SEAMS

AFTERWARDS_US = 5 * MINUTE_US
"""How long promises are measured mildly after something was wrong."""


def machine_dies(stage: Stage, chance: random.Random) -> None:
    """A machine goes dark with what runs on it; a person notices, or only its engine does."""
    node = chance.choice(stage.fleet.nodes)
    span_s = chance.choice((120, 1200, 7200))
    pool = stage.pool_of(node)
    pool.machines.die(node)
    stage.disturb(span_s * SECOND_US)
    stage.later(span_s, lambda: pool.machines.mend(node))
    if chance.random() < 0.7:
        stage.later(30, lambda: stage.ask(commands.FailNode(by=OPERATOR, node=node, reason="dark")))
        back = commands.RestoreNode(by=OPERATOR, node=node)
        stage.later(span_s + 30, lambda: stage.ask(back))


def network_is_cut(stage: Stage, chance: random.Random) -> None:
    """No call passes, or answers are lost; long enough at times for leases to lapse."""
    weather = chance.choice(stage.pools).weather
    span_us = chance.choice((5, 60, 400, 2000)) * SECOND_US
    until_us = stage.loop.now_us + span_us
    if chance.random() < 0.6:
        weather.cut_until_us = max(weather.cut_until_us, until_us)
    else:
        weather.deaf_until_us = max(weather.deaf_until_us, until_us)
    stage.disturb(span_us)


def network_is_slow(stage: Stage, chance: random.Random) -> None:
    """Calls are delayed, and reports come twice and out of order."""
    weather = chance.choice(stage.pools).weather
    span_us = chance.choice((60, 600)) * SECOND_US
    weather.delay_us = chance.choice((1, 5, 30)) * SECOND_US
    weather.delayed_until_us = weather.repeats_until_us = stage.loop.now_us + span_us
    stage.disturb(span_us)


def engine_fails(stage: Stage, chance: random.Random) -> None:
    """Looks and launches fail, are slow or partial; at times launches are refused for good."""
    weather = chance.choice(stage.pools).weather
    span_us = chance.choice((30, 300)) * SECOND_US
    weather.engine_until_us = stage.loop.now_us + span_us
    if chance.random() < 0.3:
        weather.refuses_until_us = stage.loop.now_us + span_us
    stage.disturb(span_us)


def agent_dies(stage: Stage, chance: random.Random) -> None:
    """At once, or at one of the next things that it does."""
    pool = chance.choice(stage.pools)
    stage.disturb(MINUTE_US)
    if chance.random() < 0.3:
        pool.crash()
    else:
        pool.fuse = chance.randint(1, 40)


def agent_disk_fills(stage: Stage, chance: random.Random) -> None:
    """The agent's memory is not saved for a while."""
    pool = chance.choice(stage.pools)
    pool.disk.is_full = True
    stage.later(chance.choice((30, 300)), lambda: setattr(pool.disk, "is_full", False))


def server_dies(stage: Stage, chance: random.Random) -> None:
    """At once, or at one of the next seams of a commit; at times its newest snapshot is torn."""
    server = stage.server
    stage.disturb(MINUTE_US)
    if chance.random() < 0.3:
        server.disk.tear_snapshot()
    if chance.random() < 0.3:
        server.crash()
    else:
        server.fuse = (chance.choice(SEAMS), chance.randint(1, 5))


def disk_is_slow(stage: Stage, chance: random.Random) -> None:
    """One commit takes long."""
    stage.server.slow_us = chance.choice((1, 10, 90)) * SECOND_US
    stage.disturb(2 * MINUTE_US)


def clearings_are_slow(stage: Stage, chance: random.Random) -> None:
    """For a while each clearing takes so long that others' submissions go beside it."""
    server = stage.server
    server.clearings_us = chance.choice((1_000, SECOND_US, 15 * SECOND_US, 40 * SECOND_US))
    span_s = chance.choice((60, 600))
    stage.disturb((span_s + 120) * SECOND_US)
    stage.later(span_s, lambda: setattr(server, "clearings_us", 0))


def disk_is_full(stage: Stage, chance: random.Random) -> None:
    """No commit succeeds for a while: the server stops and is started again and again."""
    server, span_s = stage.server, chance.choice((10, 120))
    server.disk.is_full = True
    stage.disturb((span_s + 60) * SECOND_US)
    stage.later(span_s, lambda: setattr(server.disk, "is_full", False))


def clock_is_set(stage: Stage, chance: random.Random) -> None:
    """The wall clock goes back, or ahead by a little or by far; a person confirms the latter."""
    step_us = chance.choice((-2 * HOUR_US, -10 * MINUTE_US, -SECOND_US, 5 * SECOND_US, 3 * HOUR_US))
    stage.clock.offset_us += step_us
    stage.has_other_time = True
    stage.disturb(abs(step_us) + 10 * MINUTE_US)
    stage.later(300, lambda: stage.ask(commands.ConfirmClock(by=OPERATOR)))


def backup_is_taken(stage: Stage, chance: random.Random) -> None:
    """A copy of the journal as it is."""
    if chance.random() < 0.7 or stage.backup is None:
        stage.backup = stage.server.disk.backup()


def backup_is_restored(stage: Stage, chance: random.Random) -> None:
    """The journal is lost, an old copy takes its place, and an operator accepts the agents."""
    if stage.backup is None or stage.world is None:
        return
    stage.disturb(20 * MINUTE_US)
    stage.restore(accepts=chance.random() < 0.8)
