"""What the console costs: a lot made whole, made of one change, told to a page, and a page.

    python benchmarks/run.py --only console

`console.update_*` is from a committed event to the bytes that an open page of an operator is sent:
the snapshot in the writer's thread, the lot, what differs, its JSON. What waits for the writer, the
network and the browser's drawing are not in it.
"""

import json
from dataclasses import dataclass

from msgspec.structs import replace

from benchmarks.figures import Figure, Kind, repeated_ms
from benchmarks.town import Town
from parkade.api.views.lot import Lots, snapshot
from parkade.api.views.org_lots import OrgLots
from parkade.console import pages, words
from parkade.console.changes import NOTHING, change
from parkade.console.history import ALL_LAYERS, Point
from parkade.core.state.world import World


@dataclass(frozen=True, kw_only=True)
class Size:
    """Worlds by the name in their figures, with so many nodes each; half as many workloads."""

    nodes: dict[str, int]
    repeat: int


FULL = Size(nodes={"1000": 1_000, "12500": 12_500}, repeat=15)
QUICK = Size(nodes={"1000": 40, "12500": 60}, repeat=2)


def figures(*, quick: bool) -> list[Figure]:
    """Everything of this file."""
    size = QUICK if quick else FULL
    found = [_page(size.repeat)]
    for name, nodes in size.nodes.items():
        found += _of(name, nodes, size.repeat)
    return found


def _of(label: str, nodes: int, repeat: int) -> list[Figure]:
    town = Town(nodes=nodes)
    town.submit(nodes // 2)
    town.clear()
    world = town.world
    lots, org = Lots(), OrgLots("org-01")
    shown = [NOTHING, lots.take(snapshot(world, town.now_us))]
    changed = iter(list(world.live) * repeat)

    def update() -> None:
        _touch(world, next(changed))
        shown.append(lots.take(snapshot(world, town.now_us)))
        told = change(shown[-2], shown[-1])
        assert told is not None and len(told["holders"]) == 1
        json.dumps(told)

    def told_whole() -> None:
        json.dumps(change(NOTHING, shown[-1]))

    def one(name: str, work: object, what: str) -> Figure:
        assert callable(work)
        values = repeated_ms(work, repeat)
        return _figure(f"{name}_{label}", values, what)

    return [
        one("snapshot", lambda: snapshot(world, town.now_us), "in the writer's thread"),
        one("lot", lambda: Lots().take(snapshot(world, town.now_us)), f"a lot of {nodes} nodes"),
        one("update", update, "one changed workload, to the bytes for an operator's page"),
        one("update_of_org", lambda: org.take(shown[-1], lots.names), "what an org may see of it"),
        one("told_whole", told_whole, "what a page is sent when it opens"),
    ]


def _touch(world: World, name: str) -> None:
    """The workload's record is another one, as after any event about it."""
    workload = world.records.workloads[name]
    world.put_workload(replace(workload, user=f"{workload.user}+"))


def _page(repeat: int) -> Figure:
    """The page of the lot, with a day of samples; what the API answers is not in it."""
    samples = [Point(60 * at, (40, 30, 20, 10, 20, 8), 2_000_000 + at) for at in range(1_440)]
    values = {
        "is_operator": True,
        "is_owner": False,
        "is_partner": False,
        "path": "/",
        "unit": "USD",
        "form_secret": "x",
        "form_key": "y",
        "sequence": 1,
        "headline": words.Headline("118 of 128 GPUs work", ()),
        "lot": NOTHING,
        "orgs": [],
        "reserved": [],
        "parked": set(),
        "sheet": None,
        "markets": [],
        "needs": [],
        "now": NOTHING.at,
        "left": None,
        "points": samples,
        "layers": ALL_LAYERS,
        "viewer": _Viewer(),
    }
    made = repeated_ms(lambda: pages.page("front.html", **values), repeat)  # type: ignore[arg-type]
    return _figure("page", made, "the page of the lot from its values")


def _figure(name: str, values: tuple[float, ...], what: str) -> Figure:
    return Figure(name=f"console.{name}", kind=Kind.DECISION, unit="ms", values=values, what=what)


class _Role:
    value = "operator"


class _Viewer:
    user = org = "operator"
    role = _Role()
