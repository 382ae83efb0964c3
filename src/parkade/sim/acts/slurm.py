"""What happens beside Parkade where an engine has a queue of its own, as Slurm has.

Owners and others submit to it as ever, the fence falls, a pool only observes, and an administrator
has not let the users of an org in.
"""

import random
from functools import partial

from parkade.core.fleet.node import OBSERVED
from parkade.core.state import commands
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.sim.acts.stage import Stage
from parkade.sim.fleet import OPERATOR
from parkade.sim.queue import Queue


def owner_submits_a_job(stage: Stage, chance: random.Random) -> None:
    """A plain sbatch of an owner, in a pool of the market of its reservation."""
    world = stage.world
    if world is None or not world.records.reservations:
        return
    right = chance.choice(list(world.records.reservations.values()))
    markets = {pool.pool: pool.market for pool in stage.fleet.pools}
    queues = [
        pool.queue
        for pool in stage.pools
        if pool.queue is not None and markets[pool.pool] == right.market
    ]
    nodes, work_us = chance.choice((1, 1, 2, right.nodes)), _work_us(chance)
    if queues:
        chance.choice(queues).submit(right.reservation, nodes, work_us)


def stranger_submits_a_job(stage: Stage, chance: random.Random) -> None:
    """A job of no owner, which starts where no fence stands."""
    _queue(stage, chance).submit(None, chance.choice((1, 1, 2)), _work_us(chance))


def job_is_cancelled(stage: Stage, chance: random.Random) -> None:
    """One that waits, or runs."""
    queue = _queue(stage, chance)
    if queue.jobs:
        queue.withdraw(chance.choice(list(queue.jobs)))


def fence_falls(stage: Stage, chance: random.Random) -> None:
    """The engine starts any job anywhere for a while."""
    span_us = chance.choice((30, 300, 1800)) * SECOND_US
    _queue(stage, chance).fence_down_until_us = stage.loop.now_us + span_us
    stage.disturb(span_us + 10 * MINUTE_US)


def pool_observes(stage: Stage, chance: random.Random) -> None:
    """Some nodes of a pool, or all, are lent no more and left out of its fence for a while."""
    pool = chance.choice(stage.pools)
    is_whole = chance.random() < 0.3
    some = () if is_whole else pool.nodes[: chance.choice((1, 2, 3))]
    span_s = chance.choice((300, 1800, 7200))
    if is_whole:
        stage.ask(commands.ObservePool(by=OPERATOR, pool=pool.pool, is_on=True))
        lent = commands.ObservePool(by=OPERATOR, pool=pool.pool, is_on=False)
        stage.later(span_s, partial(stage.ask, lent))
    for it in some:
        stage.ask(commands.DrainNode(by=OPERATOR, node=it.node, reason=OBSERVED))
        back = commands.UndrainNode(by=OPERATOR, node=it.node)
        stage.later(span_s, partial(stage.ask, back))


def org_is_shut_out(stage: Stage, chance: random.Random) -> None:
    """The engine takes no job of the users of an org until an administrator lets them in."""
    org, _ = chance.choice(stage.fleet.orgs)
    until_us = stage.loop.now_us + chance.choice((60, 600, 4000)) * SECOND_US
    _queue(stage, chance).shut_out_until_us[org] = until_us


def _queue(stage: Stage, chance: random.Random) -> Queue:
    queue = chance.choice(stage.pools).queue
    assert queue is not None, "an act of stories whose engines have queues"
    return queue


def _work_us(chance: random.Random) -> int:
    return chance.choice((60, 600, 3600)) * SECOND_US
