"""Whose jobs of a Slurm queue are whose, and what they ask; no cluster is needed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.engines.slurm import answers, hosts, owners, recalling, standing_reservation
from parkade.engines.slurm.answers import Asks, Job
from parkade.engines.slurm.started_itself import StartedItself
from parkade.ports import GivenNodes, Lease

FENCE = "parkade_box"
RULES = owners.parse_rules("account:acme=acme, qos:vision=lab")


def job(number: int, *, state: str = "PENDING", reason: str = "Resources", **asks: Any) -> Job:
    return Job(
        number=number,
        leader=asks.pop("leader", number),
        states=frozenset({state}),
        reason=reason,
        uid=1000,
        comment="",
        nodes=asks.pop("on", ()),
        devices=(),
        asks=Asks(user="eve", **{"account": "acme", "gpus": 8 * asks.get("nodes", 1), **asks}),
    )


NODE = owners.Room(8, cpus=16, memory_mb=64_000)


def grouped(*jobs: Job) -> dict[str, tuple[int, int, tuple[int, ...]]]:
    found = owners.groups(jobs, RULES, fence=FENCE, node=NODE)
    return {it.key: (it.nodes, it.least, tuple(one.number for one in it.jobs)) for it in found}


def test_whole_jobs_are_groups_and_small_ones_share_a_node_while_it_has_gpus() -> None:
    small = [job(number, gpus=3) for number in (6, 7, 9)]
    found = grouped(job(5, nodes=2), *small, job(8))
    assert found == {
        "5": (2, 2, (5,)),
        "6": (1, 1, (6, 7)),
        "8": (1, 1, (8,)),
        "9": (1, 1, (9,)),
    }


def test_small_jobs_share_a_node_while_it_has_cpus_and_memory_too() -> None:
    of_cpus = [job(number, gpus=1, cpus=9) for number in (1, 2)]
    of_memory = [job(number, gpus=1, cpus=1, memory_mb=40_000) for number in (3, 4)]
    assert grouped(*of_cpus, *of_memory) == {"1": (1, 1, (1, 3)), "2": (1, 1, (2, 4))}
    found = owners.groups(of_cpus, RULES, fence=FENCE, node=owners.Room(8))
    assert [len(it.jobs) for it in found] == [2], "where it is not known what nodes have"


def test_an_exclusive_job_shares_no_node() -> None:
    alone = [job(number, gpus=gpus, is_exclusive=True) for number, gpus in ((1, 0), (2, 1))]
    assert grouped(*alone, job(3, gpus=1)) == {
        "1": (1, 1, (1,)),
        "2": (1, 1, (2,)),
        "3": (1, 1, (3,)),
    }


@pytest.mark.parametrize(
    ("asks", "nodes"),
    [({}, 1), ({"is_exclusive": True}, 4), ({"cpus": 8}, 2), ({"memory_mb": 33_000}, 4)],
)
def test_tasks_of_an_array_share_nodes_as_they_fit(asks: dict[str, Any], nodes: int) -> None:
    array = job(9, array=9, tasks=4, gpus=1, **asks)
    assert grouped(array)["9"][0] == nodes


def test_a_small_job_joins_the_node_that_its_owner_has_already_and_no_other_owners() -> None:
    has = job(3, state="RUNNING", reason="None", gpus=2, reservation=f"{FENCE}:3")
    other = job(4, account="", qos="vision", gpus=1)
    assert grouped(has, other, job(7, gpus=2)) == {"3": (1, 1, (3, 7)), "4": (1, 1, (4,))}


@pytest.mark.parametrize(
    ("tasks", "nodes", "gpus", "running", "expected"),
    [
        pytest.param(3, 1, 8, 3, 3, id="no more than may run at once"),
        pytest.param(3, 2, 16, 1, 6, id="of two nodes each"),
        pytest.param(4, 1, 2, 4, 1, id="four of a quarter node share one"),
        pytest.param(4, 1, 5, 2, 4, id="two of five GPUs do not share eight"),
        pytest.param(2, 1, 0, 2, 2, id="without GPUs a node each"),
    ],
)
def test_an_array_asks_for_as_many_nodes_as_its_tasks_may_use_at_once(
    tasks: int, nodes: int, gpus: int, running: int, expected: int
) -> None:
    """`tasks` may run at once, `running` of them do, and as many more wait."""
    asks: dict[str, Any] = {"array": 10, "array_most": tasks, "nodes": nodes, "gpus": gpus}
    waiting = job(10, tasks=tasks, reservation=f"{FENCE}:10", **asks)
    runs = [
        job(20 + one, state="RUNNING", reservation=f"{FENCE}:10", **asks) for one in range(running)
    ]
    assert grouped(waiting, *runs)["10"][:2] == (expected, nodes)


def test_an_array_asks_for_its_tasks_and_begins_with_one() -> None:
    running = job(12, state="RUNNING", array=10, reservation=f"{FENCE}:10", nodes=2)
    waiting = job(10, array=10, tasks=3, nodes=2, reservation=f"{FENCE}:10")
    assert grouped(job(10, array=10, tasks=4, nodes=2)) == {"10": (8, 2, (10,))}
    assert grouped(running, waiting) == {"10": (8, 2, (10, 12))}
    assert grouped(job(20, array=20, tasks=9, gpus=1)) == {"20": (2, 1, (20,))}


def test_a_heterogeneous_job_needs_all_its_parts() -> None:
    assert grouped(job(5, nodes=2), job(6, leader=5)) == {"5": (3, 3, (5, 6))}


@pytest.mark.parametrize(
    ("state", "reason", "account"),
    [
        ("PENDING", "Dependency", "acme"),
        ("PENDING", "JobHeldUser", "acme"),
        ("PENDING", "QOSMaxGRESPerUser", "acme"),
        ("PENDING", "None", "acme"),
        ("PENDING", "Resources", "others"),
        ("RUNNING", "None", "acme"),
        ("COMPLETED", "None", "acme"),
    ],
)
def test_what_waits_for_nothing_of_ours_asks_for_nothing(
    state: str, reason: str, account: str
) -> None:
    assert grouped(job(5, state=state, reason=reason, account=account)) == {}


def started(*jobs: Job) -> dict[str, tuple[tuple[str, ...], int]]:
    found = owners.groups(jobs, RULES, fence=FENCE, node=NODE, nodes=("n1", "n2", "n3"))
    return {it.key: (it.runs_on, it.nodes) for it in found}


def test_what_slurm_started_by_itself_is_told_with_the_nodes_of_the_pool_on_which_it_runs() -> None:
    runs: dict[str, Any] = {"state": "RUNNING", "reason": "None"}
    whole = job(5, on=("n1", "n2", "elsewhere"), nodes=3, **runs)
    let_in = job(6, on=("n3",), reservation=f"{FENCE}:6", **runs)
    others = job(7, on=("n3",), account="others", **runs)
    away = job(8, on=("elsewhere",), **runs)
    assert started(whole, let_in, others, away) == {"5": (("n1", "n2"), 3), "6": ((), 1)}


def test_small_jobs_that_slurm_started_share_the_node_on_which_they_run_and_no_other() -> None:
    runs: dict[str, Any] = {"state": "RUNNING", "reason": "None", "gpus": 2}
    first, second = job(5, on=("n1",), **runs), job(6, on=("n1",), **runs)
    third, waits = job(7, on=("n2",), **runs), job(8, gpus=2)
    assert started(first, second, third, waits) == {"5": (("n1",), 1), "7": (("n2",), 1)}


def test_an_array_is_told_with_the_tasks_that_run_and_those_that_wait() -> None:
    runs = job(11, state="RUNNING", reason="None", array=10, on=("n2",))
    assert started(job(10, array=10, tasks=3), runs) == {"10": (("n2",), 4)}


def test_what_slurm_started_beyond_a_right_is_told_with_whose_where_and_what_to_do() -> None:
    runs: dict[str, Any] = {"state": "RUNNING", "reason": "None"}
    jobs = (
        job(5, on=("n1", "n2"), nodes=2, **runs),
        job(6, on=("n3",), account="others", **runs),
        job(7),
    )
    groups = owners.groups(jobs, RULES, fence=FENCE, node=NODE, nodes=("n1", "n2", "n3"))
    watch = StartedItself()

    def look(*given: GivenNodes, now_s: int) -> str | None:
        watch.look(
            jobs, RULES, groups, fence=FENCE, nodes=("n1", "n2", "n3"), given=given,
            now_us=now_s * 1_000_000,
        )  # fmt: skip
        return watch.note

    mine = GivenNodes(claim="c1", job="5", nodes=("n1",))
    assert look(mine, now_s=0) is None, "it may be covered soon"
    said = look(mine, now_s=30)
    assert said is not None
    assert (
        "job 5 of eve (account acme) on n2, beyond reservation acme: `scontrol requeue 5`" in said
    )
    assert "job 6 of eve (account others) on n3, which no rule of owners fits" in said
    whole = GivenNodes(claim="c1", job="5", nodes=("n1", "n2"))
    assert "job 6" in (look(whole, now_s=31) or "")
    assert look(whole, GivenNodes(claim="c2", job="7", nodes=()), now_s=32) is None


def test_taken_are_nodes_of_the_pool_with_jobs_that_are_not_on_given_ones() -> None:
    jobs = (
        job(1, state="RUNNING", on=("n1", "elsewhere")),
        job(2, state="COMPLETING", on=("n2",), reservation=f"{FENCE}:2"),
        job(3, state="COMPLETED", on=("n3",)),
        job(4, state="COMPLETING", on=("n4",)),
    )
    assert taken_by(*jobs, claimed={"2"}) == {
        "n1": "job 1 of eve, beyond reservation acme",
        "n4": "job 4 of eve, beyond reservation acme",
    }


def taken_by(*jobs: Job, claimed: set[str]) -> dict[str, str]:
    nodes = ("n1", "n2", "n3", "n4")
    found = list(owners.taken(jobs, nodes, fence=FENCE, claimed=claimed, rules=RULES))
    assert all(it.reservation in (None, "acme") for it in found)
    return {it.node: it.job for it in found}


def test_the_nodes_of_an_owners_job_whose_rule_was_removed_are_taken() -> None:
    """It was told neither as a claim nor as taken, so its node was given to others."""
    runs = job(17, state="RUNNING", account="gone", on=("n1",), reservation=f"{FENCE}:17")
    assert grouped(runs) == {}
    assert taken_by(runs, claimed=set()) == {"n1": "job 17 of eve"}


def test_nodes_that_slurm_calls_down_or_drained_are_taken_with_its_reason() -> None:
    def node(name: str, *states: str, reason: str = "") -> answers.Node:
        return answers.Node(
            name=name, address=name, states=frozenset(states), reason=reason, reason_by="ann",
            gpus=8, cpus=8, memory_mb=8,
        )  # fmt: skip

    nodes = (
        node("n1", "IDLE"),
        node("n2", "MIXED", "DRAIN", reason="fan 4"),
        node("n3", "DOWN", "NOT_RESPONDING"),
        node("n4", "ALLOCATED", "COMPLETING"),
        node("n5", "IDLE", "DRAIN", reason="x" * 999),
    )
    found = {it.node: it.job for it in owners.unfit({it.name: it for it in nodes})}
    assert found.keys() == {"n2", "n3", "n5"}
    assert (found["n2"], found["n3"]) == ("Slurm: drain: fan 4", "Slurm: down+not_responding")
    assert len(found["n5"]) <= 200


@pytest.mark.parametrize("text", ["acme=acme", "account:=a", "account:a", "colour:red=acme"])
def test_a_rule_that_is_none_is_refused_by_its_words(text: str) -> None:
    with pytest.raises(ValueError, match="KIND:VALUE=RESERVATION"):
        owners.parse_rules(text)


def test_what_jobs_ask_is_read_in_each_form_that_slurm_prints() -> None:
    whole = {"job_id": 7, "job_state": "PENDING", "user_id": 1, "node_count": 2, "tasks": 4}
    forms = {
        "tres_per_node": ("gres:gpu:h100:4", 8),
        "tres_per_job": ("gres/gpu=12", 12),
        "tres_per_task": ("gres:gpu:2", 8),
    }
    for key, (text, gpus) in forms.items():
        answer = {"errors": [], "jobs": [{**whole, key: text, "array_task_string": "1-6:2,9%3",
                  "array_max_tasks": 3, "array_job_id": {"set": True, "number": 7}}]}  # fmt: skip
        (read,) = answers.jobs(msgspec.json.encode(answer))
        assert (read.asks.gpus, read.asks.tasks, read.asks.array) == (gpus, 3, 7)


def test_short_names_of_nodes_are_read() -> None:
    assert hosts.expand("n[1-3,07],gpu5") == ("n1", "n2", "n3", "n07", "gpu5")
    assert hosts.expand("a[1-2]b[1-2]") == ("a1b1", "a1b2", "a2b1", "a2b2")
    assert hosts.is_whole("n[1-3,07],gpu5") and hosts.is_whole("n1")
    assert not hosts.is_whole("n[1-3") and not hosts.is_whole("n1-3]")
    assert hosts.expand("(null)") == () == hosts.expand("")


@given(st.text(alphabet="n[]0123456789,-x ", max_size=30))
def test_no_text_makes_names_without_end(text: str) -> None:
    assert len(hosts.expand(text)) <= hosts.MOST_NAMES


def test_a_reservation_is_read_with_its_end() -> None:
    line = (
        "ReservationName=parkade_p StartTime=2026-11-27T04:14:22 EndTime=2026-11-27T04:24:26"
        " Duration=00:10:04 Nodes=node[1-2] Users=root,eve Groups=(null) State=ACTIVE"
    )
    found = standing_reservation.parse(line)
    assert (found.nodes, found.users, found.is_active) == (
        ("node1", "node2"),
        ("root", "eve"),
        True,
    )
    assert found.ends_us == 1_795_753_466_000_000


def test_a_fence_is_early_only_before_leases_and_notice_have_passed() -> None:
    lease = Lease(silence_us=600, notice_us=120, kill_us=30)
    assert recalling.is_early(lease, 120, 60)
    assert not recalling.is_early(lease, 700, 60)
