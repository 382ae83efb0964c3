"""Owners of a Slurm cluster change nothing: their own jobs reclaim, behind a fence."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.cli.pools import RELEASE_BY
from tests.service.slurm_market import GPUS, SlurmMarket, slurm_market
from tests.slurm_cluster import Slurm, missing, open_folder, slurm
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]

NOTICE_S = 25
"""Of the command; Slurm looks at the ends of reservations every 30 s."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """Three nodes, for all tests of the module."""
    with open_folder() as folder, slurm(folder / "c", nodes=("n0", "n1", "n2"), gpus=GPUS) as made:
        yield made


@pytest.fixture
def market(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmMarket]:
    with slurm_market(cluster, tmp_path) as made:
        yield made


def test_an_owners_plain_job_reclaims_its_nodes_and_gives_them_back(market: SlurmMarket) -> None:
    refused = market.served.attempt_to("POST", "/reservations", {"org": "acme", "nodes": 2})
    assert refused.json()["code"] == "unfenced" and "pool fence box" in refused.json()["detail"]
    market.fence()
    market.lend(2)
    guest = market.guest(nodes=3)
    market.wait_for(guest, "running")
    job = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    market.wait_for_job(job, "RUNNING")
    told = market.seen(guest)
    assert told["preemptions"] == 1 and told["failures"] == 0
    (claim,) = market.served.ask("GET", "/claims")["claims"]
    assert (claim["org"], claim["nodes"]) == ("acme", 2)
    assert market.nodes_of(job) == set(claim["seats"])
    market.cluster.run("scancel", job)
    market.wait_for(guest, "running")
    assert market.served.ask("GET", "/claims")["claims"] == []
    until(lambda: f"parkade_box:{job}" not in market.reservations(), market.said)


def test_a_job_that_slurm_started_while_the_agent_was_dead_uses_its_owners_right_once(
    market: SlurmMarket,
) -> None:
    market.kill_agent()
    rules = "owners=account:acme=acme,account:lab=birch"
    market.start_agent(rules)
    market.fence()
    market.lend(2)
    market.served.ask("POST", "/reservations", {"org": "lab", "nodes": 1, "name": "birch"})
    market.kill_agent()
    market.cluster.run("scontrol", "delete", "ReservationName=parkade_box")
    first = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    market.wait_for_job(first, "RUNNING")
    where = market.nodes_of(first)
    market.start_agent(rules)

    def seats() -> dict[int, set[str]]:
        claims = market.served.ask("GET", "/claims")["claims"]
        return {it["nodes"]: set(it["seats"]) for it in claims}

    until(lambda: seats() == {2: where}, market.said)
    until(lambda: cordons(market) == {}, market.said)
    second = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    other = market.cluster.submit(
        "sleep 600", "--account=lab", "--uid=nobody", "--chdir=/", "--output=/dev/null",
        "--exclusive", f"--gres=gpu:{GPUS}",
    )  # fmt: skip
    market.wait_for_job(other, "RUNNING")
    assert market.nodes_of(other) == {"n0", "n1", "n2"} - where
    assert market.cluster.job_state(second) == "PENDING"
    assert seats() == {2: where, 1: market.nodes_of(other)}
    market.cluster.run("scancel", first)
    market.wait_for_job(second, "RUNNING")


@pytest.mark.slow
def test_a_job_that_slurm_started_beyond_its_owners_right_is_told_with_what_to_do(
    market: SlurmMarket,
) -> None:
    market.fence()
    market.lend(2)
    market.served.ask("POST", "/reservations", {"org": "lab", "nodes": 1, "name": "birch"})
    market.kill_agent()
    market.cluster.run("scontrol", "delete", "ReservationName=parkade_box")
    job = market.owner_job("--nodes=3", f"--gres=gpu:{GPUS}")
    market.wait_for_job(job, "RUNNING")
    market.start_agent()
    words = f"job {job} of nobody, beyond reservation acme"
    until(lambda: list(cordons(market).values()) == [words], market.said)
    (beyond,) = cordons(market)
    (claim,) = market.served.ask("GET", "/claims")["claims"]
    assert set(claim["seats"]) == {"n0", "n1", "n2"} - {beyond}
    market.served.ask("POST", "/reservations/birch/claims", {"nodes": 1})
    told = f"job {job} of nobody (account acme) on {beyond}, beyond reservation acme"
    until(lambda: told in str(market.pool_record()["agent_says"]), market.said)
    assert f"scontrol requeue {job}" in market.pool_record()["agent_says"]
    assert told in market.log.read_text()

    def birch() -> list[str]:
        claims = market.served.ask("GET", "/claims")["claims"]
        return [node for it in claims if it["reservation"] == "birch" for node in it["seats"]]

    assert birch() == []
    market.cluster.run("scontrol", "requeue", job)
    until(lambda: len(birch()) == 1, market.said)


def test_a_guest_whose_node_others_took_before_it_began_runs_on_another_at_once(
    market: SlurmMarket,
) -> None:
    assert market.agent is not None
    market.agent.send_signal(signal.SIGSTOP)
    guest = market.guest()
    market.wait_for(guest, "starting")
    (taken,) = {seat["node"] for seat in market.seen(guest)["attempt"]["seats"]}
    job = market.cluster.submit(
        "sleep 600", f"--nodelist={taken}", "--uid=nobody", "--chdir=/", "--output=/dev/null",
        f"--gres=gpu:{GPUS}",
    )  # fmt: skip
    market.wait_for_job(job, "RUNNING")
    market.agent.send_signal(signal.SIGCONT)
    market.wait_for(guest, "running")
    assert market.cluster.job_state(job) == "RUNNING"
    told = market.seen(guest)
    assert {seat["node"] for seat in told["attempt"]["seats"]}.isdisjoint({taken})
    assert told["failures"] == 0 and told["attempts"] == 2


@pytest.mark.parametrize("options", [("--exclusive",), ("--gres=gpu:1", "--cpus-per-task=16")])
def test_two_jobs_of_an_owner_that_fill_a_node_by_other_than_gpus_have_one_each(
    market: SlurmMarket, options: tuple[str, ...]
) -> None:
    market.fence()
    market.lend(2)
    jobs = [market.owner_job("--nodes=1", *options)]
    market.wait_for_job(jobs[0], "RUNNING")
    jobs.append(market.owner_job("--nodes=1", *options))
    market.wait_for_job(jobs[1], "RUNNING")
    assert market.nodes_of(jobs[0]) != market.nodes_of(jobs[1])


def test_others_stay_off_a_fenced_node_and_close_the_open_one_that_they_took(
    market: SlurmMarket,
) -> None:
    taken = market.cluster.submit("sleep 600", "--nodelist=n0", "--uid=nobody", "--chdir=/",
                                  "--output=/dev/null")  # fmt: skip
    until(lambda: cordons(market) == {"n0": f"job {taken} of nobody"}, market.said)
    guest = market.guest(nodes=2)
    market.wait_for(guest, "running")
    market.fence()
    market.cluster.run("scancel", taken)
    until(lambda: cordons(market) == {}, market.said)
    stranger = market.cluster.submit("sleep 600", "--nodelist=n0", "--uid=nobody", "--chdir=/",
                                     "--output=/dev/null")  # fmt: skip
    third = market.guest(nodes=1)
    market.wait_for(third, "running")
    assert market.cluster.job_state(stranger) == "PENDING"
    until(lambda: f"{stranger} of nobody" in str(market.pool_record()["agent_says"]), market.said)
    drained = ("scontrol", "update", "NodeName=n0")
    market.cluster.run(*drained, "State=DRAIN", "Reason=fan")
    until(lambda: cordons(market) == {"n0": "Slurm: drain: fan"}, market.said)
    market.cluster.run(*drained, "State=RESUME")
    until(lambda: cordons(market) == {}, market.said)
    # A guest that uses the fence for a job of its own loses that job.
    own = market.cluster.submit("sleep 600", "--reservation=parkade_box", "--nodelist=n0")
    until(lambda: market.cluster.job_state(own) == "CANCELLED", market.said)


def test_a_reservation_of_root_over_a_standing_fence_closes_nodes_and_leaves_their_guests(
    market: SlurmMarket,
) -> None:
    market.fence()
    guest = market.guest(nodes=1)
    market.wait_for(guest, "running")
    (seat,) = market.seen(guest)["attempt"]["seats"]
    own = seat["node"]
    free, rest = sorted({"n0", "n1", "n2"} - {own})
    market.cluster.run(
        "scontrol", "create", "reservation", "ReservationName=upkeep", "StartTime=now",
        "Duration=60", f"Nodes={own},{free}", "Users=root", "Flags=IGNORE_JOBS,MAINT,OVERLAP",
    )  # fmt: skip
    closed = dict.fromkeys((own, free), "reservation upkeep")
    until(lambda: cordons(market) == closed, market.said)
    upkeep = market.cluster.submit("sleep 600", "--reservation=upkeep", f"--nodelist={free}",
                                   "--output=/dev/null")  # fmt: skip
    market.wait_for_job(upkeep, "RUNNING")
    pair = market.guest(nodes=2)
    alone = market.guest(nodes=1)
    market.wait_for(alone, "running")
    assert [it["node"] for it in market.seen(alone)["attempt"]["seats"]] == [rest]
    assert market.seen(pair)["phase"] == "queued", "no newcomer is seated under it"
    assert market.pool_record()["fence"] == "stands"
    assert market.seen(guest)["phase"] == "running" and market.seen(guest)["preemptions"] == 0
    market.cluster.run("scancel", upkeep)
    market.cluster.run("scontrol", "delete", "ReservationName=upkeep")
    until(lambda: cordons(market) == {}, market.said)
    market.served.ask("POST", f"/workloads/{alone}/cancel", {})
    market.wait_for(pair, "running")
    assert market.seen(guest)["preemptions"] == 0


@pytest.mark.slow
def test_an_owners_array_grows_with_the_room_of_its_owner(market: SlurmMarket) -> None:
    market.fence()
    market.lend(2)
    first = market.owner_job(f"--gres=gpu:{GPUS}")
    market.wait_for_job(first, "RUNNING")
    array = market.owner_job(f"--gres=gpu:{GPUS}", "--array=1-5")
    running = ("squeue", "-h", "-r", "-j", array, "-t", "running", "-o", "%N")
    until(lambda: len(market.cluster.run(*running).split()) == 1, market.said)
    guest = market.guest(nodes=1)
    market.wait_for(guest, "running")
    market.cluster.run("scancel", first)
    until(lambda: len(set(market.cluster.run(*running).split())) == 2, market.said)
    market.cluster.run("scancel", array)
    until(lambda: market.served.ask("GET", "/claims")["claims"] == [], market.said)


@pytest.mark.slow
def test_a_job_in_the_fence_with_a_copied_comment_is_cancelled(market: SlurmMarket) -> None:
    market.fence()
    guest = market.guest(nodes=1)
    market.wait_for(guest, "running")
    number, comment = market.cluster.run("squeue", "-h", "-t", "running", "-o", "%A %k").split()
    free = min(set(market.cluster.nodes) - market.nodes_of(number))
    own = market.cluster.submit(
        "sleep 600", "--reservation=parkade_box", f"--comment={comment}9", f"--nodelist={free}"
    )
    until(lambda: market.cluster.job_state(own) == "CANCELLED", market.said)
    until(lambda: cordons(market) == {}, market.said)
    assert market.seen(guest)["phase"] == "running"


def cordons(market: SlurmMarket) -> dict[str, str]:
    nodes = market.served.ask("GET", "/nodes")["nodes"]
    return {node["node"]: one["reason"] for node in nodes for one in node["cordons"]}


@pytest.mark.slow
def test_an_agent_that_was_killed_adopts_its_guests_and_still_reclaims(market: SlurmMarket) -> None:
    market.fence()
    market.lend(2)
    guest = market.guest(nodes=3)
    market.wait_for(guest, "running")
    jobs = market.cluster.run("squeue", "-h", "-o", "%A")
    market.kill_agent()
    job = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    market.start_agent()
    market.wait_for_job(job, "RUNNING")
    assert jobs not in market.cluster.run("squeue", "-h", "-o", "%A").split(), "the guest left"
    told = market.seen(guest)
    assert (told["preemptions"], told["failures"], told["attempts"]) == (1, 0, 1)


def test_what_parkade_made_can_be_undone_and_slurm_is_as_it_was(market: SlurmMarket) -> None:
    """In the order of the page: no guest, no fence, no agent, no job, no pool; Slurm's
    configuration was never touched."""
    conf = market.cluster.folder / "slurm.conf"
    before = (conf.read_bytes(), conf.stat().st_mtime_ns, market.reservations())
    market.fence()
    guest = market.guest()
    market.wait_for(guest, "running")
    market.observe()
    market.wait_for(guest, "queued")
    why = market.served.ask("GET", f"/workloads/{guest}/why")["says"]
    assert "an operator takes all nodes of box out of use" in why
    market.served.ask("POST", f"/workloads/{guest}/cancel", {})
    market.wait_for(guest, "cancelled")
    market.served.ask("POST", f"/pools/{market.pool}/unfence")
    until(lambda: f"parkade_{market.pool}" not in market.reservations(), market.said)
    assert market.agent is not None
    market.agent.terminate()
    market.agent.wait()
    until(lambda: not market.cluster.run("squeue", "-h", "-a"), market.said)
    market.served.ask("POST", f"/pools/{market.pool}/close")
    assert market.served.ask("GET", "/pools")["pools"] == []
    assert (conf.read_bytes(), conf.stat().st_mtime_ns, market.reservations()) == before
    job = market.owner_job("--nodes=3", f"--gres=gpu:{GPUS}")
    market.wait_for_job(job, "RUNNING")


@pytest.mark.slow
@pytest.mark.parametrize("dead", ["agent", "server", "both"])
def test_where_parkade_is_dead_one_command_of_slurms_gives_an_owner_its_nodes(
    market: SlurmMarket, dead: str
) -> None:
    market.fence()
    market.lend(2)
    guest = market.guest(nodes=3)
    market.wait_for(guest, "running")
    if dead in ("server", "both"):
        market.kill_server()
    if dead in ("agent", "both"):
        market.kill_agent()
    job = market.owner_job("--nodes=2", f"--gres=gpu:{GPUS}")
    until(lambda: market.cluster.job_state(job) == "PENDING")
    command = RELEASE_BY.format(pool=market.pool)
    began = time.monotonic()
    market.cluster.run(*command.replace("now+120", f"now+{NOTICE_S}").split())
    market.wait_for_job(job, "RUNNING")
    assert time.monotonic() - began < NOTICE_S + 60
    assert len(list(market.folder.rglob("agent/**/.parkade.json"))) == 1, "the guest was told"


def test_a_release_gives_one_notice_and_its_guest_goes_on_in_the_next_fence(
    market: SlurmMarket,
) -> None:
    """Nobody is seated in a fence that a person ends, until a new one stands."""
    market.fence()
    guest = market.guest(nodes=2)
    market.wait_for(guest, "running")
    market.cluster.run("scontrol", "update", "ReservationName=parkade_box", "EndTime=now+30")
    until(lambda: market.seen(guest)["preemptions"] == 1, market.said)

    def is_back() -> bool:
        seen = market.seen(guest)
        assert seen["preemptions"] == 1, "one notice"
        return bool(seen["phase"] == "running" and seen["attempts"] == 2)

    until(is_back, lambda: (market.seen(guest), market.said()))
    assert market.pool_record()["fence"] == "stands"
    assert market.seen(guest)["checkpoint_step"] == 7, "it saved at its notice"
