"""What befalls a node is counted from the journal, and sets it apart from the fleet."""

from parkade.core.fleet.node import Health
from parkade.core.healing.lemons import Signal
from parkade.core.healing.verdict import Action, Level
from parkade.core.healing.wear import WINDOW_DAYS, WearOfDay, signals_of, with_one_more
from parkade.core.repairing.lemons import lemons
from parkade.core.state import commands
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.time import DAY_US
from tests.core.repairing.sick import Sick


def test_days_before_the_window_are_forgotten() -> None:
    wear: tuple[WearOfDay, ...] = ()
    for day in range(100):
        wear = with_one_more(wear, "xids", day * DAY_US)
        wear = with_one_more(wear, "xids", day * DAY_US + 5)
    assert len(wear) == WINDOW_DAYS
    assert signals_of(wear, 99 * DAY_US)[Signal.XIDS] == 2 * WINDOW_DAYS
    assert signals_of(wear, 120 * DAY_US)[Signal.XIDS] == 2 * (WINDOW_DAYS - 21)
    assert signals_of(wear, 200 * DAY_US)[Signal.XIDS] == 0


def test_the_signals_of_a_node_follow_from_what_happened_there() -> None:
    it = Sick(fabrics={"a": 4}, buffer_nodes=1)
    alone, gang = it.bid("lab", 9), it.bid("lab", 9, nodes=2)
    it.run(60)
    for name in (alone, gang):
        it.started(name)
    (one,) = it.nodes_of(alone)
    first, second = it.nodes_of(gang)
    for at, node in enumerate((one, first)):
        it.verdict(node, f"v{at}", signal="xid/95", action=Action.RESET_GPU)
    wear = {
        node: signals_of(it.world.records.wear.get(node, ()), it.now_us)
        for node in it.world.records.nodes
    }
    assert wear[one][Signal.SINGLE_NODE_FAILURES] == 1
    assert wear[one][Signal.SINGLE_NODE_FAILURE_PER_MILLE] == 1_000
    assert wear[first][Signal.MULTI_NODE_FAILURES] == 1
    assert wear[second][Signal.MULTI_NODE_FAILURES] == 0, "its neighbour broke the gang"
    for node in (one, first):
        assert (wear[node][Signal.XIDS], wear[node][Signal.TIMES_OUT]) == (1, 1)
    assert it.replayed() == encode_snapshot(it.world)


def test_a_node_that_is_among_the_worst_in_three_signals_is_shown_as_a_lemon() -> None:
    it = Sick(fabrics={"a": 30}, buffer_nodes=1)
    for turn in range(3):
        told = {"signal": "xid/79", "action": Action.RMA, "level": Level.DEGRADED}
        it.verdict("a1", f"v{turn}", **told)
        assert it.health("a1") is Health.RETIRED
        ticket = it.world.records.incidents[f"incident-{2 * turn + 1}"].order
        assert ticket is not None
        it._told(ticket, is_done=True, says="ticket 7")
        it.do(commands.RestoreNode(by=None, node="a1"))
        it.healed("a1")
        it.run(3600)
    assert lemons(it.world, it.now_us) == {
        "a1": ("among the worst of the fleet in xids, tickets, times_out",)
    }
    assert Signal.EXCLUDED_BY_JOBS not in signals_of(it.world.records.wear["a1"], it.now_us)
