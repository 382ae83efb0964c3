"""Every move has a recorded cause, which says for whom."""

import msgspec
from msgspec.structs import replace

from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events, lines
from parkade.core.state.codec import decode_event, encode_event
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Phase
from parkade.core.workloads.moves import ForWorkload
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core import records
from tests.core.records import attempt, node, rate, seats, workload

NOW_US = 1000 * SECOND_US


def bid(name: str, limit: int, *, org: str, nodes: int = 1, on: tuple[str, ...] = ()) -> Workload:
    spec = builders.spec(nodes=nodes, gpus=4, limit_price_micros=limit * MICROS)
    made = workload(name, org=org, user=org, spec=spec)
    if not on:
        return made
    held = attempt(
        attempt=f"{name}.1",
        seats=seats(**dict.fromkeys(on, 4)),
        rates=(replace(rate(MICROS, operator=4 * nodes * MICROS), floor_micros=MICROS),),
    )
    return replace(made, phase=Phase.RUNNING, why="", generation=1, attempt=held)


def world_of(*workloads: Workload) -> World:
    """Fabric a with three nodes, b with one; a bid of another org wants two of a."""
    nodes = tuple(replace(node(name), fabric=name[0]) for name in ("a1", "a2", "a3", "b1"))
    balances = {f"org/{it.org}": 10**10 for it in workloads}
    return records.world(*workloads, nodes=nodes, balances=balances)


def cleared(world: World) -> events.Cleared:
    made = decide(world, commands.RunClearing(by=None, market="market"), NOW_US)
    assert not isinstance(made, Refusal)
    return next(event for event in made if isinstance(event, events.Cleared))


def test_whoever_gives_way_is_told_for_whom_in_the_event_and_afterwards() -> None:
    world = world_of(
        bid("w1", 9, org="lab", on=("a1",)),
        bid("w2", 8, org="lab", on=("a2",)),
        bid("w3", 20, org="rich", nodes=2),
    )
    event = cleared(world)
    cause = ForWorkload(workload="w3", org="rich")
    (left,) = event.left
    assert (lines.name_of(left.demand), left.moved) == ("w2", cause)
    assert {lines.name_of(it.demand): it.moved for it in event.won} == {"w2": cause, "w3": None}
    assert decode_event(encode_event(event)) == event
    evolve(world, event)
    assert world.records.workloads["w2"].moved == cause
    assert world.records.workloads["w3"].moved is None


def test_a_line_of_a_journal_that_said_no_cause_is_still_read() -> None:
    old = (
        b'{"demand":{"kind":"workload","workload":"w1"},"stop":null,"phase":"queued",'
        b'"why":"outbid","price_to_win_micros":null}'
    )
    assert msgspec.json.decode(old, type=lines.Leaving).moved is None
