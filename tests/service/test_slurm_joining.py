"""A real Slurm is looked at, joined, lent and taken back, by the commands as they are typed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.service.served import Served, serving
from tests.service.slurm_market import GPUS, SAVES
from tests.slurm_cluster import Slurm, missing, open_folder, slurm
from tests.waits import PATIENCE_S, until

LACKING = missing(with_accounting=True)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=f"no Slurm: {', '.join(LACKING)} is lacking"),
]
NODES = ("n0", "n1", "n2", "n3")
ACCOUNTS = (
    ("cluster", "parkade"), ("account", "acme", "cluster=parkade"), ("account", "lab"),
    ("user", "nobody", "account=acme"), ("user", "ann", "account=lab"),
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """Four nodes under two switches, accounts, and a partition of `acme` alone."""
    with open_folder() as folder:
        place = folder / "c"
        place.mkdir()
        (place / "topology.conf").write_text(
            "SwitchName=s1 Nodes=n[0-1]\nSwitchName=s2 Nodes=n[2-3]\n"
            "SwitchName=top Switches=s[1-2]\n"
        )
        with slurm(
            place,
            nodes=NODES,
            gpus=GPUS,
            with_accounting=True,
            settings={"TopologyPlugin": "topology/tree"},
            partitions=(
                "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
                "PartitionName=own Nodes=n0 AllowAccounts=acme MaxTime=INFINITE State=UP",
            ),
        ) as made:
            for words in ACCOUNTS:
                done = subprocess.run(
                    ("sacctmgr", "-i", "add", *words), env=made.environment, capture_output=True,
                    text=True, check=False, timeout=PATIENCE_S,
                )  # fmt: skip
                assert done.returncode == 0 or "already exists" in done.stdout, done
            limits = ("set", "GrpTRES=gres/gpu=9")
            made.run("sacctmgr", "-i", "modify", "account", "where", "name=lab", *limits)
            yield made


def parkade(cluster: Slurm, *words: str, served: Served | None = None) -> str:
    """What it printed; fails the test where it failed."""
    done = subprocess.run(
        (sys.executable, "-m", "parkade.cli", *words),
        env=environment(cluster, served), capture_output=True, text=True, timeout=PATIENCE_S * 4,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(cluster: Slurm, served: Served | None) -> dict[str, str]:
    to = {} if served is None else {
        "PARKADE_SERVER": f"http://127.0.0.1:{served.port}", "PARKADE_TOKEN": served.token
    }  # fmt: skip
    return {**cluster.environment, **to}


def join(cluster: Slurm, out: Path, *words: str) -> str:
    return parkade(cluster, "agent", "join", "--engine", "slurm", "--observe", "--pool", "box",
                   "--out", str(out), *words)  # fmt: skip


@contextmanager
def joined(cluster: Slurm, tmp_path: Path) -> Iterator[Served]:
    """A marketplace in which what was proposed was run, and the pool's agent."""
    with serving(tmp_path) as served:
        command = tmp_path / "bin" / "parkade"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m parkade.cli "$@"\n')
        command.chmod(0o755)
        found = environment(cluster, served)
        found["PATH"] = f"{command.parent}:{found['PATH']}"
        write_terms(tmp_path / "join" / "pool.yaml")
        script = tmp_path / "join" / "join.sh"
        done = subprocess.run(
            ("sh", "-e", str(script)), env=found, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        agent = subprocess.Popen(
            (sys.executable, "-m", "parkade.cli", "agent", "run", "--pool", "box", "--server",
             found["PARKADE_SERVER"], "--token-file", str(tmp_path / "join" / "agent.token"),
             "--data-folder", str(tmp_path / "agent"), "--engine", "slurm",
             "--engine-option", "root_workloads=true"),
            env=found, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield served
        finally:
            agent.terminate()
            agent.wait(PATIENCE_S)
            cluster.run("scancel", "--user=root")
            delete_fence(cluster)
            until(cluster.is_idle, cluster.log)


def delete_fence(cluster: Slurm) -> None:
    if "parkade_box" in cluster.run("scontrol", "show", "reservation"):
        cluster.run("scontrol", "delete", "ReservationName=parkade_box")


def test_what_join_proposes_opens_a_pool_that_lends_and_stops_lending(
    cluster: Slurm, tmp_path: Path
) -> None:
    os.chmod(tmp_path, 0o755)  # noqa: PTH101
    before = cluster.run("scontrol", "show", "reservation"), cluster.run("squeue", "-h")
    said = join(cluster, tmp_path / "join")
    assert "4 nodes of h100-4" in said and "2 of them hold nodes" in said
    assert before == (cluster.run("scontrol", "show", "reservation"), cluster.run("squeue", "-h"))
    with joined(cluster, tmp_path) as served:
        orgs = {it["org"] for it in served.ask("GET", "/orgs")["orgs"]}
        assert {"acme", "lab"} <= orgs
        assert [it["unix_name"] for it in served.ask("GET", "/users")["users"]][-1] == "ann"
        lent_and_taken_back(cluster, served)


def test_a_reservation_of_dedicated_nodes_is_the_named_node(cluster: Slurm, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)  # noqa: PTH101
    said = join(cluster, tmp_path / "join", "--dedicate", "acme")
    assert "1 nodes of h100-4, dedicated to acme: n0" in said
    (reserves,) = [
        line.removeprefix("# parkade ").split()
        for line in (tmp_path / "join" / "join.sh").read_text().splitlines()
        if line.startswith("# parkade reserve") and "--org acme" in line
    ]
    with joined(cluster, tmp_path) as served:
        served.ask("POST", "/orgs/acme/deposits", {"amount": "10000"})
        parkade(cluster, "pool", "fence", "box", served=served)

        def pools() -> list[dict[str, Any]]:
            return list(served.ask("GET", "/pools")["pools"])

        until(lambda: [it["fence"] for it in pools() if it["pool"] == "box"] == ["stands"], pools)
        parkade(cluster, "pool", "lend", "box", served=served)
        parkade(cluster, *reserves, served=served)
        served.ask("POST", "/reservations/acme/claims", {"nodes": 1})

        def claims() -> list[dict[str, Any]]:
            return list(served.ask("GET", "/claims")["claims"])

        until(lambda: claims()[0]["seats"], claims)
        assert claims()[0]["seats"][0].startswith("n0"), claims()


def write_terms(file: Path) -> None:
    """As an operator writes its own before it runs the script; here quick ones."""
    pool = yaml.safe_load(file.read_text())
    pool["terms"] |= {"clearing_interval": "300ms", "notice": "5s", "kill": "2s"}
    file.write_text(yaml.safe_dump(pool))


def lent_and_taken_back(cluster: Slurm, served: Served) -> None:
    served.ask("POST", "/orgs/lab/deposits", {"amount": "1000"})
    spec = {"name": "g", "command": SAVES, "workdir": "/tmp", "gpus": GPUS, "limit_price": "9"}
    guest = served.ask("POST", "/workloads", {"org": "lab", "spec": spec})["workload"]

    def phase() -> str:
        return str(served.ask("GET", f"/workloads/{guest}")["phase"])

    assert phase() == "queued", "an observed pool starts nothing"
    parkade(cluster, "pool", "lend", "box", served=served)
    until(lambda: phase() == "running", lambda: served.ask("GET", f"/workloads/{guest}"))
    parkade(cluster, "pool", "lend", "box", "--observe", served=served)
    until(lambda: phase() == "queued", cluster.log)
    until(cluster.is_idle, cluster.log)


def test_the_doctor_finds_a_healthy_cluster_well_and_lets_two_nodes_meet(
    cluster: Slurm, tmp_path: Path
) -> None:
    os.chmod(tmp_path, 0o755)  # noqa: PTH101
    said = parkade(cluster, "pool", "doctor", "--data-folder", str(tmp_path), "--gang", "2",
                   "--json")  # fmt: skip
    checks = {it["check"]: it for it in json.loads(said)["checks"]}
    assert all(it["is_good"] for it in checks.values()), checks
    assert "met; clocks within" in checks["gang"]["says"]
    assert "parkade_probe" not in cluster.run("scontrol", "show", "reservation")


def test_the_doctor_finds_a_fenced_cluster_well(cluster: Slurm) -> None:
    fence = "ReservationName=parkade_box"
    nodes = f"Nodes={','.join(NODES)}"
    cluster.run("scontrol", "create", fence, nodes, "Users=root", "StartTime=now",
                "Duration=UNLIMITED", "Flags=IGNORE_JOBS")  # fmt: skip
    try:
        said = parkade(cluster, "pool", "doctor", "--json")
    finally:
        cluster.run("scontrol", "delete", fence)
    (tried,) = [it for it in json.loads(said)["checks"] if it["check"] == "submission"]
    assert tried["says"] == "a job would be taken behind the fence parkade_box"


def test_the_doctor_says_what_to_do_where_no_controller_answers(
    cluster: Slurm, tmp_path: Path
) -> None:
    cluster.stop_controller()
    try:
        done = subprocess.run(
            (sys.executable, "-m", "parkade.cli", "pool", "doctor"),
            env=cluster.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 7
        assert "start slurmctld" in done.stdout and len(done.stdout.splitlines()) == 2
    finally:
        cluster.start_controller()
        delete_fence(cluster)  # The killed controller may not have saved that it was deleted.


def test_a_report_comes_at_the_end_of_each_span(cluster: Slurm, tmp_path: Path) -> None:
    job = cluster.submit("sleep 2", f"--gres=gpu:{GPUS}", "--uid=nobody", "--account=acme",
                         "--chdir=/", "--output=/dev/null")  # fmt: skip
    until(lambda: cluster.job_state(job) == "COMPLETED", cluster.log)
    out = tmp_path / "join"
    words = ("agent", "join", "--engine", "slurm", "--observe", "--pool", "box", "--out", str(out))
    joining = subprocess.Popen(
        (sys.executable, "-m", "parkade.cli", *words, "--report-every", "40s"),
        env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: list(out.glob("report-*.txt")))
        (text,) = out.glob("report-*.txt")
        assert "acme" in text.read_text()
    finally:
        joining.send_signal(signal.SIGINT)
        joining.communicate(timeout=PATIENCE_S)
