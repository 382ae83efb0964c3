"""What a new cap stops is what the next clearing leaves out for it."""

from typing import Any

from msgspec.structs import replace

from parkade.core.clearing.stopped_by_caps import stopped_by_caps, stopped_by_change
from parkade.core.state import events
from parkade.core.state.people import Cap, CapPeriod, Org, Role, User
from parkade.core.state.world import World
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from tests.core.clearing.test_earmarks import RICH, bid, excluded, lab_with, on
from tests.core.records import stop, world

NOW_US = 10 * SECOND_US
SPENT = Cap(micros=0, period=CapPeriod.TOTAL, most_gpus=None, since_us=0)


def on_demand(workload: Workload) -> Workload:
    capacity = Capacity(kind=CapacityKind.ON_DEMAND)
    return replace(workload, spec=replace(workload.spec, capacity=capacity))


def test_a_cap_on_gpus_stops_the_bids_with_seats_that_do_not_fit_it() -> None:
    made = lab_with(4, on("w1", "a1", 4, 2), on("w2", "a2", 4, 9), bid("w3", 1, 99))
    assert excluded(made)["w1"] == "org_gpus"
    assert stopped_by_caps(made, "lab", None, NOW_US) == ("w1",)


def test_what_has_its_notice_and_what_was_sold_on_demand_is_not_stopped_by_it() -> None:
    told, sold = on("w1", "a1", 4, stop=stop()), on_demand(on("w2", "a2", 4))
    assert stopped_by_caps(lab_with(0, told, sold), "lab", None, NOW_US) == ()


def of_two(**changes: Any) -> World:
    """Ann's w1 and bob's w2 run, each on 4 GPUs."""
    anns = replace(on("w1", "a1", 4), user="ann")
    bobs = replace(on("w2", "a2", 4), user="bob")
    return world(anns, bobs, balances=RICH, **changes)


def test_a_cap_on_money_that_is_spent_stops_all_bids_with_seats() -> None:
    assert stopped_by_caps(of_two(), "lab", None, NOW_US) == ()
    org = Org(org="lab", created_us=0, cap=SPENT)
    assert stopped_by_caps(of_two(orgs={"lab": org}), "lab", None, NOW_US) == ("w1", "w2")


def test_the_cap_of_a_user_stops_its_own_work_alone() -> None:
    ann = User(user="ann", org="lab", role=Role.MEMBER, unix_name=None, cap=SPENT)
    made = of_two(users={"ann": ann})
    assert stopped_by_caps(made, "lab", "ann", NOW_US) == ("w1",)
    assert stopped_by_caps(made, "lab", "bob", NOW_US) == ()
    assert stopped_by_caps(made, "lab", None, NOW_US) == ()


def test_a_cap_tells_before_it_is_set_what_it_stops() -> None:
    ann = User(user="ann", org="lab", role=Role.MEMBER, unix_name=None)
    made = of_two(users={"ann": ann}, orgs={"lab": Org(org="lab", created_us=0)})
    of_ann = events.CapSet(at_us=NOW_US, user="ann", cap_micros=None, most_gpus=3)
    assert stopped_by_change(made, of_ann, NOW_US) == ("w1",)
    assert stopped_by_change(made, replace(of_ann, most_gpus=4), NOW_US) == ()
    of_all = events.OrgCapSet(at_us=NOW_US, org="lab", cap=SPENT)
    assert stopped_by_change(made, of_all, NOW_US) == ("w1", "w2")
    spent = of_two(orgs={"lab": Org(org="lab", created_us=0, cap=SPENT)})
    assert stopped_by_change(spent, replace(of_all, cap=None), NOW_US) == ()
    assert stopped_by_caps(made, "lab", None, NOW_US) == (), "nothing was changed"
