"""How fast the program is simulated, searched and replayed, for each second of the processor.

    python benchmarks/run.py --only simulation

Stories are those of `parkade sim fuzz`: 100 nodes, their agents, machines, loop and clock, half a
clearing for each event. A replay is the core alone under the trace that `parkade sim example`
makes. Nothing is stored or sent, and judges look at each event where it says so.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, Kind
from parkade.sim.check.search import Bounds, Search
from parkade.sim.check.small_worlds import SCENARIOS
from parkade.sim.replay.example import FILES
from parkade.sim.replay.market import MarketRun
from parkade.sim.replay.resale import setup_of
from parkade.sim.replay.running import demand_from
from parkade.sim.replay.scenario import IdleResale, parse_scenario
from parkade.sim.story import Story, StoryPlan

SEED = 3


def figures(*, quick: bool) -> list[Figure]:
    """Events, states and simulated days for each second of the processor."""
    repeat = 1 if quick else 3
    events, nodes = (40, 10) if quick else (2_000, 100)
    states = 50 if quick else 10_000
    return [
        _rate("simulation.events", repeat, lambda: _story(nodes, events, checks=False), "events/s"),
        _rate("simulation.checked", repeat, lambda: _story(nodes, events, checks=True), "events/s"),
        _rate("simulation.states", repeat, lambda: _search(states), "states/s"),
        _rate("simulation.replayed", repeat, _replay, "events/s"),
    ]


def _rate(name: str, repeat: int, work: Callable[[], int], unit: str) -> Figure:
    """How many a second of the processor."""
    values = []
    for _ in range(repeat):
        began_s = time.process_time()
        count = work()
        values.append(count / (time.process_time() - began_s))
    return Figure(name=name, kind=Kind.DECISION, unit=unit, values=tuple(values), what=_WHAT[name])


_WHAT = {
    "simulation.events": "a story of 100 nodes without troubles, nothing judged",
    "simulation.checked": "the same, judged after each event",
    "simulation.states": "a search of the world owners, each state to depth 3 brought to rest",
    "simulation.replayed": "two made-up days of 12 nodes, core and clearings alone",
}


def _story(nodes: int, events: int, *, checks: bool) -> int:
    plan = StoryPlan(seed=SEED, events=events, nodes=nodes, families=(), checks=checks)
    return Story(plan).tell().events


def _search(states: int) -> int:
    return Search(SCENARIOS["owners"](), Bounds(states=states)).run().states


def _replay() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in FILES.items():
            (folder / file).write_text(text(), encoding="utf-8")
        scenario = parse_scenario((folder / "idle-resale.yaml").read_text("utf-8"))
        assert isinstance(scenario, IdleResale)
        run = MarketRun(setup_of(scenario), demand_from(scenario, folder))
        run.run(lambda _: None)
        return run.core.events
