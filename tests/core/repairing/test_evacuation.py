"""Work leaves a degraded node with notice when there is a place for it, and runs on until then."""

import random
from typing import Any

import pytest

from parkade.core.clearing import evacuation
from parkade.core.clearing.evacuation import MOST_ASKED, in_turn
from parkade.core.fleet.node import Health
from parkade.core.healing.incident import Next
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events, lines
from parkade.core.state.codec import encode_snapshot
from parkade.core.state.world import Records, World
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.moves import Healed
from tests.core.repairing.sick import AT_IDLE, DEGRADED, Sick


def running(it: Sick, org: str, limit: float, **shape: int) -> str:
    """A bid that runs."""
    name = it.bid(org, limit, **shape)
    it.clear()
    it.started(name)
    return name


def test_without_a_place_it_runs_on_closed_to_newcomers_and_leaves_when_there_is_one() -> None:
    it = Sick(fabrics={"a": 2}, buffer_nodes=0)
    guest, other = running(it, "lab", 12), running(it, "acme", 9)
    (sick,) = it.nodes_of(guest)
    it.verdict(sick, **DEGRADED)
    it.run(600)
    assert it.attempt(guest).stop is None and it.phase(guest) is Phase.RUNNING
    assert it.attempt(other).stop is None, "a guest moves into free room only"
    assert it.health(sick) is Health.SUSPECT and not it.node(sick).is_open
    (free,) = it.nodes_of(other)
    it.ended(other)
    stop = it.stop(guest)
    terms = it.world.records.markets["pool"].terms
    assert stop.cause is Cause.HEALED
    assert stop.deadline_us - it.now_us == terms.notice_us, "the market's notice, not the shorter"
    assert it.nodes_of(guest) == (free,), "promised before it leaves"
    assert it.workload(guest).moved == Healed()
    it.ended(guest, code=85)
    it.tick(1)
    it.started(guest)
    assert it.nodes_of(guest) == (free,)
    assert it.healed(sick), "repaired behind"
    assert it.node(sick).is_open
    (hurt,) = it.incident().hurt
    assert hurt.with_notice and hurt.moved_to == (free,)
    assert it.replayed() == encode_snapshot(it.world)


def test_a_fatal_verdict_ends_the_wait() -> None:
    it = Sick(fabrics={"a": 1}, buffer_nodes=0)
    guest = running(it, "lab", 12)
    it.verdict("a1", **DEGRADED)
    it.run(60)
    assert it.phase(guest) is Phase.RUNNING
    it.verdict("a1", "v2")
    assert it.attempt(guest).broken_us is not None
    assert it.health("a1") is Health.DRAINING


def test_a_gang_keeps_its_well_nodes_and_leaves_the_degraded_one() -> None:
    it = Sick(fabrics={"a": 3}, buffer_nodes=1)
    gang = running(it, "lab", 12, nodes=2)
    sick, well = it.nodes_of(gang)
    it.verdict(sick, **DEGRADED)
    assert it.stop(gang).cause is Cause.HEALED
    assert well in it.nodes_of(gang) and sick not in it.nodes_of(gang)


def test_a_gang_leaves_a_degraded_node_though_another_of_its_nodes_is_cordoned() -> None:
    """The question where it could go was an assertion that failed."""
    it = Sick(fabrics={"a": 4}, buffer_nodes=1)
    gang = running(it, "lab", 12, nodes=3)
    cordoned, sick, well = it.nodes_of(gang)
    it.do(commands.CordonNode(by=None, node=cordoned, reason="looked at"))
    it.verdict(sick, **DEGRADED)
    it.clear()
    assert it.phase(gang) is Phase.RUNNING, "no three nodes are open, so it runs on"
    it.do(commands.UncordonNode(by=None, node=cordoned))
    it.clear()
    assert it.stop(gang).cause is Cause.HEALED
    assert {cordoned, well} < set(it.nodes_of(gang))


def test_an_owner_displaces_a_guest_of_the_buffer_to_leave_a_degraded_node() -> None:
    it = Sick(fabrics={"a": 2}, buffer_nodes=1)
    it.reserve("owner", 1)
    own = it.on_reservation("owner", "owner")
    it.clear()
    it.started(own)
    guest = running(it, "lab", 12)
    (sick,) = it.nodes_of(own)
    it.verdict(sick, **DEGRADED)
    terms = it.world.records.markets["pool"].terms
    for name in (own, guest):
        assert it.stop(name).deadline_us - it.now_us == terms.notice_us, "nobody hurries"
    assert it.stop(guest).cause is Cause.RECLAIMED


def test_more_than_are_asked_about_at_once_take_turns_and_the_last_gets_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gang that no free node holds, asked about first, keeps the job behind it from nothing."""
    monkeypatch.setattr(evacuation, "MOST_ASKED", 1)
    it = Sick(fabrics={"a": 12}, buffer_nodes=0)
    gang = running(it, "lab", 12, nodes=4)
    last = running(it, "lab", 9)
    others = running(it, "acme", 9, nodes=6)
    filler = running(it, "acme", 9)
    sick = it.nodes_of(gang)[:2] + it.nodes_of(last)
    for node in sick:
        it.verdict(node, node, **DEGRADED)
    it.run(60)
    assert it.attempt(last).stop is None and it.attempt(others).stop is None
    it.ended(filler)
    for _ in range(2):
        it.run(it.world.records.markets["pool"].terms.clearing_interval_us / 1_000_000)
        it.clear()
    assert it.attempt(gang).stop is None
    assert it.workload(last).moved == Healed()
    assert it.nodes_of(last)[0] not in sick


@pytest.mark.parametrize("count", [0, 1, 8, 9, 16, 17])
def test_in_as_many_turns_as_it_takes_each_is_asked_about(count: int) -> None:
    names: list[Any] = list(range(count))
    turns = max(1, -(-count // MOST_ASKED))
    for start in range(5):
        asked = [it for turn in range(start, start + turns) for it in in_turn(names, turn)]
        assert sorted(int(str(each)) for each in asked) == names
        assert all(len(in_turn(names, turn)) <= MOST_ASKED for turn in range(start, start + turns))


@pytest.mark.parametrize("why", ["idle", "stopped", "cordoned"])
def test_what_is_not_to_be_moved_stays_beside_a_free_node(why: str) -> None:
    it = Sick(fabrics={"a": 2}, buffer_nodes=0)
    guest = running(it, "lab", 12)
    (sick,) = it.nodes_of(guest)
    if why == "cordoned":
        it.do(commands.CordonNode(by=None, node=sick, reason="look"))
    if why == "stopped":
        it.do(commands.SetAutomation(by=None, reason="look", is_on=False))
    it.verdict(sick, **(AT_IDLE if why == "idle" else DEGRADED))
    it.run(60)
    assert it.attempt(guest).stop is None
    assert it.incident().next is Next.RESET


def test_nothing_leaves_a_degraded_node_without_a_promised_place() -> None:
    moved = 0
    for seed in range(3):
        it = _history(seed)
        world = World(Records())
        for event in it.journal:
            before = {n: world.records.workloads[n].attempt for n in world.live}
            evolve(world, event)
            if not isinstance(event, events.Cleared):
                continue
            won = {lines.name_of(each.demand): each for each in event.won}
            for left in event.left:
                name = lines.name_of(left.demand)
                attempt = before.get(name)
                if left.stop is None or left.stop.cause is not Cause.HEALED or attempt is None:
                    continue
                if attempt.broken_us is None:
                    moved += 1
                    assert name in won, f"{name} left for nowhere"
    assert moved > 2


def _history(seed: int) -> Sick:
    """Guests and an owner on six nodes, of which one after another degrades."""
    lots = random.Random(seed)
    it = Sick(fabrics={"a": 4, "b": 2}, buffer_nodes=1)
    it.reserve("owner", 2)
    it.lend("owner", 5)
    for count in range(25):
        match lots.randint(0, 4):
            case 0:
                it.bid("lab", 9 + lots.randint(0, 9), nodes=lots.randint(1, 2))
            case 1:
                it.on_reservation("owner", "owner", nodes=1)
            case 2:
                node = lots.choice(list(it.world.records.nodes))
                it.verdict(node, f"v{count}", **DEGRADED)
            case 3:
                for name in list(it.world.live)[:1]:
                    if it.phase(name) is Phase.RUNNING:
                        it.ended(name)
            case _:
                for node in it.world.records.nodes:
                    incident = it.world.open_incident(node)
                    if incident is not None and incident.order is not None:
                        it.healed(node)
        it.run(lots.choice((1, 60, 300)))
    return it
