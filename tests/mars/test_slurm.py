"""`parkade mars run` on a real Slurm: it drains, undoes only its own drains, sees nodes fall."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.slurm_cluster import Slurm, free_port, missing, slurm
from tests.waits import until

MAIN = "from parkade.cli import main; main()"
XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\n"
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Four nodes, for all tests of the module."""
    with slurm(tmp_path_factory.mktemp("slurm"), nodes=4) as made:
        yield made


def run_file(cluster: Slurm, folder: Path, *, act: bool, port: int) -> Path:
    """The file of the documentation, for this cluster."""
    for node in cluster.nodes:
        (folder / f"{node}.log").touch()
    said = {
        "format": 1,
        "every": "1s",
        "listen": f"127.0.0.1:{port}",
        "act": act,
        "journal": str(folder / "drains.jsonl"),
        "nodes": [
            {"node": node, "fabric": f"f{node}", "kernel_log": str(folder / f"{node}.log")}
            for node in cluster.nodes
        ],
        "engine": {"command": ["sinfo", "-N", "-h", "-o", "%N|%T|%E"]},
        "drain": {
            "set": [
                "scontrol", "update", "nodename={node}", "state=drain", "reason={reason}",
            ],
            "reason": ["sinfo", "-h", "-N", "-n", "{node}", "-o", "%E"],
            "undo": ["scontrol", "update", "nodename={node}", "state=resume"],
            "count": ["sh", "-c", "sinfo -h -N -t drain -o %N | sort -u | wc -l"],
            "most": 3,
        },
    }  # fmt: skip
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(said))
    return file


@contextmanager
def mars(cluster: Slurm, folder: Path, *, act: bool) -> Iterator[str]:
    """The program at work; the address of its metrics."""
    port = free_port()
    file = run_file(cluster, folder, act=act, port=port)
    words = [sys.executable, "-c", MAIN, "mars", "run", "--config", str(file)]
    child = subprocess.Popen(words, env=cluster.environment, stdout=subprocess.DEVNULL)
    url = url_of(port)
    try:
        until(lambda: "parkade_mars_last_poll_timestamp_seconds 1" in read(url))
        yield url
    finally:
        child.terminate()
        child.wait(60)


def url_of(port: int) -> str:
    """Where metrics are served."""
    return f"http://127.0.0.1:{port}/metrics"


def read(url: str) -> str:
    """The metrics; nothing while they are not served."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def add(folder: Path, node: str) -> None:
    """A GPU of the node falls off the bus."""
    with (folder / f"{node}.log").open("a") as log:
        log.write(XID)


@pytest.mark.system
def test_a_sick_node_is_drained_in_slurm_and_only_drains_of_mars_are_undone(
    cluster: Slurm, tmp_path: Path
) -> None:
    cluster.run("scontrol", "update", "nodename=node2", "state=drain", "reason=a person looks")
    # The budget of so small a fleet is one node, so each has a run of its own.
    with mars(cluster, tmp_path, act=True) as url:
        add(tmp_path, "node2")
        until(lambda: 'drains_total{result="refused"} 1.0' in read(url))
    with mars(cluster, tmp_path, act=True) as url:
        add(tmp_path, "node1")
        until(lambda: cluster.state("node1") == "drained")
        assert cluster.reason("node1").startswith("parkade-mars:")
    assert cluster.reason("node2") == "a person looks"
    words = [sys.executable, "-c", MAIN, "mars", "undo", "--config", str(tmp_path / "run.yaml")]
    subprocess.run(words, env=cluster.environment, check=True, timeout=300)
    until(lambda: cluster.state("node1") == "idle")
    assert cluster.state("node2") == "drained", "a person's drain stays"
    cluster.run("scontrol", "update", "nodename=node2", "state=resume")


@pytest.mark.slow
def test_a_node_that_a_person_drained_and_returns_sick_is_drained_also_after_a_restart(
    cluster: Slurm, tmp_path: Path
) -> None:
    cluster.run("scontrol", "update", "nodename=node3", "state=drain", "reason=new fan")
    with mars(cluster, tmp_path, act=True) as url:
        add(tmp_path, "node3")
        until(lambda: 'drains_total{result="refused"} 1.0' in read(url))
    with mars(cluster, tmp_path, act=True) as url:
        until(lambda: "parkade_mars_action_waits{" in read(url))
        cluster.run("scontrol", "update", "nodename=node3", "state=resume")
        until(lambda: cluster.reason("node3").startswith("parkade-mars:"))
        until(lambda: "parkade_mars_action_waits{" not in read(url))
    words = [sys.executable, "-c", MAIN, "mars", "undo", "--config", str(tmp_path / "run.yaml")]
    subprocess.run(words, env=cluster.environment, check=True, timeout=300)
    until(lambda: cluster.state("node3") == "idle")


@pytest.mark.slow
def test_a_drain_that_slurm_did_after_mars_was_killed_is_found_and_undone(
    cluster: Slurm, tmp_path: Path
) -> None:
    asked, frozen = tmp_path / "asked", tmp_path / "frozen"
    wrapped = tmp_path / "set"
    wait = f'touch "{asked}"; until [ -e "{frozen}" ]; do sleep 0.1; done'
    wrapped.write_text(f'#!/bin/sh\n{wait}\nexec scontrol "$@"\n')
    wrapped.chmod(0o755)
    port = free_port()
    file = run_file(cluster, tmp_path, act=True, port=port)
    said = yaml.safe_load(file.read_text())
    said["drain"]["set"][0] = str(wrapped)
    file.write_text(yaml.safe_dump(said))
    words = [sys.executable, "-c", MAIN, "mars", "run", "--config", str(file)]
    child = subprocess.Popen(words, env=cluster.environment, stdout=subprocess.DEVNULL)
    until(lambda: "parkade_mars_last_poll_timestamp_seconds 1" in read(url_of(port)))
    add(tmp_path, "node1")
    until(asked.exists)
    cluster.controller.freeze()
    try:
        frozen.touch()
        child.kill()
        child.wait(60)
    finally:
        cluster.controller.thaw()
    until(lambda: cluster.state("node1") == "drained")
    with mars(cluster, tmp_path, act=True) as url:
        until(lambda: 'parkade_mars_node_drained{node="node1"} 1.0' in read(url))
        assert 'drains_total{result="done"} 1.0' in read(url)
    words = [sys.executable, "-c", MAIN, "mars", "undo", "--config", str(file)]
    subprocess.run(words, env=cluster.environment, check=True, timeout=300)
    until(lambda: cluster.state("node1") == "idle")


@pytest.mark.slow
def test_without_act_nothing_is_drained(cluster: Slurm, tmp_path: Path) -> None:
    with mars(cluster, tmp_path, act=False) as url:
        add(tmp_path, "node3")
        held = 'actions_held_total{reason="observe_only"} 1.0'
        until(lambda: held in read(url))
    assert cluster.state("node3") == "idle"


@pytest.mark.slow
def test_a_node_that_slurm_calls_down_is_seen_and_is_no_proof(
    cluster: Slurm, tmp_path: Path
) -> None:
    with mars(cluster, tmp_path, act=True) as url:
        cluster.stop_node("node4")
        until(lambda: "engine_node_down" in read(url))
    assert "parkade-mars" not in cluster.reason("node4"), "it is a warning: nothing is drained"
