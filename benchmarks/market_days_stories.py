"""Small markets in which one rule shows: each is driven like a day and gives one figure.

They are the cases that hostile tests of the first version found, so that what became of each can
be seen again: `benchmarks/market_days.py` prints them below the days. A figure of None is "never".
"""

from collections.abc import Callable

from benchmarks.market_days_scene import HOUR, MINUTE, Scene
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.sim.dynamics.demand import Owner

LEAST_BID = 1
"""Micro-units per GPU-hour."""


def cordoned_gang() -> float | None:
    """A gang of eight has one cordoned node and lowers its bid to almost nothing. Minutes until a
    rival that bids 50 has the seven other nodes; none within two hours: never."""
    scene = Scene({"a": 8}, orgs=("guest", "rival"))
    gang = scene.bid("guest", 10, nodes=8)
    scene.until(5 * MINUTE)
    scene.cordon("a01", hours=24)
    lower = commands.ChangeBid(by=None, workload=gang, limit_price_micros=LEAST_BID)
    scene.day.do(lower)
    rival = scene.bid("rival", 50, nodes=7)
    scene.until(125 * MINUTE)
    return scene.minutes_from(rival, 5 * MINUTE)


def owner_beside_a_cordoned_node() -> float | None:
    """A guest's gang of eight has one cordoned node; the owner claims the seven others. Minutes
    until it has them; none within two hours: never."""
    owner = _owner("own", nodes=7, floor=2)
    scene = Scene({"a": 8}, orgs=("guest",), owners=(owner,))
    scene.bid("guest", 10, nodes=8)
    scene.until(5 * MINUTE)
    scene.cordon("a01", hours=24)
    claim = scene.claim("own", 7)
    scene.until(125 * MINUTE)
    return scene.minutes_from(claim, 5 * MINUTE)


def lower_floor_elsewhere() -> float:
    """A guest runs alone on a lent fabric; the lender of another fabric lowers its floor below it.
    How often the guest is stopped."""
    owners = (_owner("own-a", nodes=4, floor=4), _owner("own-b", nodes=4, floor=6))
    scene = Scene({"a": 4, "b": 4}, orgs=("guest",), owners=owners)
    guest = scene.bid("guest", 10)
    scene.until(5 * MINUTE)
    lower = commands.Lend(by=None, reservation="own-b", floor_micros=2 * MICROS, keep=0)
    scene.day.do(lower)
    scene.until(65 * MINUTE)
    return float(len(scene.stops.get(guest, ())))


def clean_seat_for_an_owner() -> float | None:
    """Turnaround takes ten minutes. One node was just left by a guest, two are clean, and the owner
    that keeps one claims it. Seconds until it has a node."""
    owner = _owner("own", nodes=1, floor=2)
    scene = Scene({"a": 3}, orgs=("guest",), owners=(owner,), turnaround=10 * MINUTE)
    scene.bid("guest", 10, work=5 * MINUTE)
    scene.until(6 * MINUTE)
    keep = commands.Lend(by=None, reservation="own", floor_micros=2 * MICROS, keep=1)
    scene.day.do(keep)
    scene.until(8 * MINUTE)
    claim = scene.claim("own", 1)
    scene.until(30 * MINUTE)
    minutes = scene.minutes_from(claim, 8 * MINUTE)
    return None if minutes is None else minutes * MINUTE


def overflow_beside_on_demand() -> float:
    """An owner's fabric has lost nodes, so its claim overflows; one other fabric has on-demand,
    the other spot. How many on-demand workloads are stopped."""
    owner = _owner("own", nodes=4, floor=2)
    scene = Scene({"a": 4, "b": 4, "c": 4}, orgs=("guest", "buyer"), owners=(owner,))
    windows = [scene.window("buyer") for _ in range(4)]
    for _ in range(4):
        scene.bid("guest", 10)
    scene.until(5 * MINUTE)
    home = next(iter(dict(scene.day.world.records.reservations["own"].shape)))
    for number in range(1, 4):
        scene.fail(f"{home}{number:02}", hours=24)
    scene.claim("own", 3)
    scene.until(65 * MINUTE)
    return float(sum(len(scene.stops.get(window, ())) for window in windows))


def one_gpu_on_each_node() -> float:
    """A gang of 64 GPUs runs at 9.90, and another waits at 7.00 and sets its price; a bid for eight
    nodes of one GPU each comes at 11.00. Revenue per hour when that has settled."""
    scene = Scene({"a": 8}, orgs=("gang", "other", "crumbs"))
    scene.bid("gang", 9.9, nodes=8)
    scene.until(5 * MINUTE)
    scene.bid("other", 7, nodes=8)
    scene.until(10 * MINUTE)
    scene.bid("crumbs", 11, nodes=8, gpus=1, spread=True)
    scene.until(65 * MINUTE)
    return scene.revenue_per_hour()


def one_gpu_alone() -> float:
    """A job of one GPU is alone in a market. What it pays per GPU-hour; the floor is 1."""
    scene = Scene({"a": 2}, orgs=("guest",))
    scene.bid("guest", 10, gpus=1)
    scene.until(10 * MINUTE)
    return scene.revenue_per_hour()


def gang_behind_singles(*, hours: int = 16) -> tuple[float | None, float]:
    """A gang of eight bids 5.20 for a fabric of 16 nodes that single nodes at 5.00 keep full, each
    for 90 minutes. Hours until it starts, and how many later singles started in 16 hours."""
    scene = Scene({"a": 16}, orgs=("gang", "singles"))
    for number in range(16):
        scene.bid("singles", 5, work=(number + 1) * 6 * MINUTE)
    for number in range(16 * hours):
        scene.later(number * 5 * MINUTE, lambda: scene.bid("singles", 5, work=90 * MINUTE))
    scene.until(10 * MINUTE)
    gang = scene.bid("gang", 5.2, nodes=8, work=20 * HOUR)
    began = set(scene.seated_us)
    scene.until(hours * HOUR)
    minutes = scene.minutes_from(gang, 10 * MINUTE)
    later = len(set(scene.seated_us) - began - {gang})
    return (None if minutes is None else minutes / 60), float(later)


def equal_price() -> float:
    """Four orgs ask for far more than there is, all at one price, one org after the other; jobs
    take half an hour. The least share of an org in four hours, by an equal share."""
    orgs = ("first", "second", "third", "fourth")
    scene = Scene({"a": 8}, orgs=orgs)
    for org in orgs:
        for _ in range(64):
            scene.bid(org, 5, work=30 * MINUTE)
    scene.until(4 * HOUR)
    hours = scene.gpu_hours_by_org()
    return min(hours.get(org, 0.0) for org in orgs) / (sum(hours.values()) / len(orgs))


def _owner(org: str, *, nodes: int, floor: int, keep: int = 0) -> Owner:
    return Owner(
        org=org,
        nodes=nodes,
        floor_micros=floor * MICROS,
        keep=keep,
        claims_per_day=0,
        jobs_per_day=0,
    )


STORIES: dict[str, Callable[[], float | None]] = {
    "cordoned gang: minutes until the rival has 7 nodes": cordoned_gang,
    "cordoned node: minutes until the owner has 7 nodes": owner_beside_a_cordoned_node,
    "lower floor elsewhere: stops of a lone guest": lower_floor_elsewhere,
    "kept node, one clean: seconds until the owner has it": clean_seat_for_an_owner,
    "overflow: on-demand workloads stopped": overflow_beside_on_demand,
    "8 x 1 GPU at 11, 64 GPUs at 9.9: revenue an hour": one_gpu_on_each_node,
    "one GPU alone: price": one_gpu_alone,
    "equal price: least share of an org by an equal one": equal_price,
}


def tell_all() -> dict[str, float | None]:
    """Every story's figure."""
    found = {name: story() for name, story in STORIES.items()}
    started, singles = gang_behind_singles()
    found["gang at 5.2 behind singles at 5.0: hours to start"] = started
    found["  later singles that started"] = singles
    return found
