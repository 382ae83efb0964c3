"""Nodes that fall sick by themselves, alone and together, and what people do about Mars.

Together means by what they share: a rack, a switch, a driver's version. Where a cause lies outside
the nodes (power, a cable, a liar), nothing is wrong with the nodes afterwards.
"""

import random
from functools import partial

from msgspec.structs import replace

from parkade.control.plane import Plane
from parkade.core.healing.incident import Next, RepairKind, RepairOrder, RepairReport
from parkade.core.healing.symptom import Evidence, Source
from parkade.core.healing.verdict import Action, Level, Scope, Verdict
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.ports import HealthReport
from parkade.sim.acts.stage import Stage
from parkade.sim.fleet import OPERATOR
from parkade.sim.hardware import Fault, xid_line
from parkade.sim.server import ServerGone
from parkade.sim.watched import DRIVERS, draw_shares

RESET, REBOOT = RepairKind.RESET, RepairKind.REBOOT
EITHER = frozenset({RESET, REBOOT})
FAULTS = (
    (6, Fault(lines=(xid_line(119),), mended_by=EITHER)),
    (4, Fault(lines=(xid_line(95),), mended_by=EITHER)),
    (4, Fault(lines=(xid_line(79),), mended_by=frozenset({REBOOT}))),
    (3, Fault(lines=(xid_line(63),), mended_by=EITHER)),
    (3, Fault(lines=(xid_line(94),), mended_by=EITHER)),
    (3, Fault(lines=(xid_line(48), xid_line(63)), mended_by=EITHER)),
    (2, Fault(lines=(xid_line(119), xid_line(154)), mended_by=frozenset({REBOOT}))),
    (2, Fault(lines=(xid_line(79),), mended_by=frozenset())),
    (1, Fault(lines=(xid_line(95),), mended_by=frozenset(), is_hidden=True)),
)
"""(weight, what is wrong with a GPU)."""

PASSING = 119
"""The code of faults that come and go during a repair: no check finds them, their line alone."""
HARDWARE_US = 4 * HOUR_US
"""How long waits are measured mildly after nodes fell sick: repairs take hours."""


def gpu_fails(stage: Stage, chance: random.Random) -> None:
    """One node; its log says so, at times again and again."""
    node = chance.choice(stage.fleet.nodes)
    (fault,) = chance.choices([it for _, it in FAULTS], [weight for weight, _ in FAULTS])
    _begin(stage, node, fault)
    for after_s in chance.choice(((), (), (200,), (30, 400, 900))):
        stage.later(after_s, lambda: _again(stage, node, fault))
    if not fault.mended_by:
        days_s = chance.choice((4000, 20_000))
        stage.later(days_s, lambda: _change_board(stage, node))


def sick_node_fails_again(stage: Stage, chance: random.Random) -> None:
    """A node falls sick while it is repaired, checked or sanitised."""
    world = stage.world
    if world is None:
        return
    orders = _orders(world)
    last = [order for order in orders if order.kind is RepairKind.SANITISE]
    if orders:
        order = chance.choice(last if last and chance.random() < 0.5 else orders)
        code = chance.choice((79, 95, 119))
        fault = Fault(lines=(xid_line(code),), mended_by=EITHER)
        begin = partial(_begin, stage, order.node, fault)
        if code == PASSING:
            begin = partial(_comes_and_goes, stage, order.node, fault)
        stage.later(chance.choice((0, 5, 20)), begin)


def program_fails(stage: Stage, chance: random.Random) -> None:
    """A program's own fault: nothing is wrong with the node."""
    node = chance.choice(stage.fleet.nodes)
    hardware = stage.pool_of(node).hardware
    hardware.write(node, xid_line(chance.choice((13, 31))), stage.loop.now_us)


def rack_loses_power(stage: Stage, chance: random.Random) -> None:
    """All nodes of a rack see the same within a minute; when power is back, a reboot is enough."""
    pool = chance.choice(stage.pools)
    if pool.watched is None:
        return
    rack = chance.choice(pool.watched.surroundings).rack
    fault = Fault(lines=(xid_line(79),), mended_by=frozenset({REBOOT}))
    for shared in pool.watched.surroundings:
        if shared.rack == rack:
            at_s = chance.choice((0, 1, 20, 60))
            stage.later(at_s, partial(_begin, stage, shared.node, fault))


def driver_is_rolled_out(stage: Stage, chance: random.Random) -> None:
    """Some nodes get the other driver, its agent reads that anew, and the driver is bad or good."""
    pool = chance.choice(stage.pools)
    if pool.watched is None:
        return
    share = chance.choice((0.3, 0.7, 1.0))
    is_bad = chance.random() < 0.7
    surroundings = []
    for shared in pool.watched.surroundings:
        is_new = chance.random() < share
        driver = DRIVERS[1] if shared.driver == DRIVERS[0] else DRIVERS[0]
        surroundings.append(replace(shared, driver=driver) if is_new else shared)
        if is_new and is_bad and chance.random() < 0.7:
            fault = Fault(lines=(xid_line(119),), mended_by=EITHER)
            at_s = chance.randint(60, 700)
            stage.later(at_s, partial(_begin, stage, shared.node, fault))
    pool.watched = replace(pool.watched, surroundings=tuple(surroundings))
    stage.disturb(MINUTE_US)
    pool.crash()


def reporter_lies(stage: Stage, chance: random.Random) -> None:
    """A pool's logs say that most of its nodes are sick, and none is."""
    pool = chance.choice(stage.pools)
    code = chance.choice((79, 95, 119, 63))
    stage.disturb(HARDWARE_US)
    for node in pool.hardware.nodes:
        if chance.random() < 0.8:
            at_s = chance.choice((0, 5, 40, 400))
            stage.later(at_s, partial(_write, stage, node, xid_line(code)))


def report_is_forged(stage: Stage, chance: random.Random) -> None:
    """A report that no honest agent sends: of another pool's nodes, of unknown ones, of repairs
    that were never done there."""
    pool, other = chance.choice(stage.pools), chance.choice(stage.pools)
    world = stage.world
    orders = [] if world is None else _orders(world)
    if orders:
        other = stage.pool_of(chance.choice(orders).node)
    now_us = stage.present_us()
    nodes = [*other.hardware.nodes, "no-such-node"]
    if other is pool:
        nodes = ["no-such-node"]
    verdicts = tuple(_verdict(node, now_us) for node in chance.sample(nodes, 1))
    repairs = tuple(
        RepairReport(
            order=order.order,
            node=order.node,
            is_done=True,
            exit_code=0,
            says="forged",
            began_us=now_us,
            ended_us=now_us,
        )
        for order in orders
        if order.node not in pool.hardware.nodes
    )
    kinds = () if pool.watched is None else pool.watched.kinds
    surroundings = () if pool.watched is None else pool.watched.surroundings
    report = HealthReport(
        pool=pool.pool,
        at_us=now_us,
        verdicts=verdicts,
        repairs=repairs,
        kinds=kinds,
        surroundings=surroundings,
    )
    stage.loop.create_task(_send(stage, report))


def links_flap(stage: Stage, chance: random.Random) -> None:
    """Links of many nodes go down for half a minute and come back, three times; one stays down."""
    pool = chance.choice(stage.pools)
    nodes = [node for node in pool.hardware.nodes if chance.random() < 0.5]
    stage.disturb(HARDWARE_US)
    for node in nodes:
        for turn in range(chance.choice((1, 3, 4))):
            stage.later(120 * turn, partial(_unplug, stage, node, 40))
    if nodes and chance.random() < 0.3:
        stage.later(600, lambda: _unplug(stage, nodes[0], 900))


def repairs_go_bad(stage: Stage, chance: random.Random) -> None:
    """Repairs and checks of a pool fail or hang at times."""
    span_us = chance.choice((10, 60, 240)) * MINUTE_US
    chance.choice(stage.pools).weather.repairs_until_us = stage.loop.now_us + span_us
    stage.disturb(span_us + HARDWARE_US)


def mars_is_stopped(stage: Stage, chance: random.Random) -> None:
    """A person stops all automatic action, and starts it again."""
    stage.ask(commands.SetAutomation(by=OPERATOR, is_on=False, reason="hands off"))
    again = commands.SetAutomation(by=OPERATOR, is_on=True, reason="go on")
    stage.later(chance.choice((30, 600, 4000)), lambda: stage.ask(again))
    stage.disturb(HARDWARE_US)


def budgets_are_changed(stage: Stage, chance: random.Random) -> None:
    """Other shares; at times the budgets are lifted for a while."""
    fabric, fleet = draw_shares(chance)
    is_limited = chance.random() < 0.7
    stage.ask(
        commands.SetAutomation(
            by=OPERATOR,
            reason="a drill",
            is_limited=is_limited,
            fabric_share=fabric,
            fleet_share=fleet,
        )
    )
    if not is_limited:
        back = commands.SetAutomation(by=OPERATOR, reason="over", is_limited=True)
        stage.later(chance.choice((60, 1800)), lambda: stage.ask(back))


def person_looks(stage: Stage, chance: random.Random) -> None:
    """A person cordons a node that is being healed, and lifts that later."""
    if stage.world is None:
        return
    nodes = [it.node for it in stage.world.records.incidents.values() if it.outcome is None]
    if nodes:
        node = chance.choice(nodes)
        stage.ask(commands.CordonNode(by=OPERATOR, node=node, reason="I look at it"))
        lift = commands.UncordonNode(by=OPERATOR, node=node)
        stage.later(chance.choice((20, 300, 4000)), lambda: stage.ask(lift))


def person_restores(stage: Stage, chance: random.Random) -> None:
    """A person goes through what waits for one, and says that it is repaired."""
    if stage.world is None:
        return
    for incident in list(stage.world.records.incidents.values()):
        is_open = incident.outcome is None
        if is_open and incident.next is Next.PERSON and chance.random() < 0.7:
            stage.ask(commands.RestoreNode(by=OPERATOR, node=incident.node))


def _orders(world: World) -> list[RepairOrder]:
    """All that are under way."""
    of_incidents = (it.order for it in world.records.incidents.values())
    between_orgs = (it.order for it in world.records.turnarounds.values())
    return [it for it in (*of_incidents, *between_orgs) if it is not None]


def _begin(stage: Stage, node: str, fault: Fault) -> None:
    stage.disturb(HARDWARE_US)
    stage.pool_of(node).hardware.begin(node, fault, stage.loop.now_us)


def _comes_and_goes(stage: Stage, node: str, fault: Fault) -> None:
    """The log says it, and no check finds anything."""
    stage.disturb(HARDWARE_US)
    for line in fault.lines:
        _write(stage, node, line)


def _again(stage: Stage, node: str, fault: Fault) -> None:
    """The log says it once more, where it is still so."""
    hardware = stage.pool_of(node).hardware
    if fault in hardware.nodes[node].faults:
        for line in fault.lines:
            hardware.write(node, line, stage.loop.now_us)


def _change_board(stage: Stage, node: str) -> None:
    """A person changes the board and gives the node back."""
    stage.pool_of(node).hardware.change_board(node)
    stage.ask(commands.RestoreNode(by=OPERATOR, node=node))


def _write(stage: Stage, node: str, line: str) -> None:
    stage.pool_of(node).hardware.write(node, line, stage.loop.now_us)


def _unplug(stage: Stage, node: str, span_s: int) -> None:
    until_us = stage.loop.now_us + span_s * SECOND_US
    stage.pool_of(node).hardware.nodes[node].down_until_us = until_us


def _verdict(node: str, at_us: int) -> Verdict:
    line = Evidence(
        line=xid_line(79),
        source=Source.KERNEL_LOG,
        reporter=node,
        parser="forged",
        at_us=at_us,
    )
    return Verdict(
        verdict=f"forged {node} {at_us}",
        supersedes=None,
        node=node,
        device=None,
        scope=Scope.NODE,
        signal="xid/79",
        level=Level.FATAL,
        action=Action.REBOOT,
        reasons=("forged",),
        count=1,
        jobs=(),
        since_us=at_us,
        at_us=at_us,
        sources=(Source.KERNEL_LOG,),
        evidence=(line,),
        policy="forged",
    )


async def _send(stage: Stage, report: HealthReport) -> None:
    async def take(plane: Plane) -> None:
        if plane.has_pool(report.pool):
            await plane.take_health(report)

    try:
        await stage.server.call(take)
    except ServerGone:
        return
