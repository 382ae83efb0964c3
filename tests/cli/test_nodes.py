"""What `node show` says of a node."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from parkade.cli import nodes
from parkade.wire.nodes import FabricReservation, NodeHolder, NodeIncident, NodeInFull
from parkade.wire.pools import Cordon
from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]

AT = datetime(2026, 1, 31, 12, 5, tzinfo=UTC)
HOLDER = NodeHolder(
    holder="w1", kind="workload", name="train", org="lab", user="ann", phase="running",
    gpus_held=4, gpus_promised=0,
)  # fmt: skip
INCIDENT = NodeIncident(
    incident="incident-3", level="fatal", signal="xid-79", action="reset", opened=AT,
    closed=None, outcome=None,
)  # fmt: skip
RESERVED = FabricReservation(reservation="r", org="acme", nodes=2, floor="1.25", keep=1)


def in_full(**changes: Any) -> NodeInFull:
    values: dict[str, Any] = {
        "node": "n1", "pool": "box", "market": "box", "fabric": "leaf", "gpus": 8, "gpus_held": 4,
        "gpus_promised": 0, "drain": "draining", "drain_reason": "fan 4", "health": "suspect",
        "health_reason": "slow", "cordons": (Cordon(holder="ann", reason="a cable", at=AT),),
        "seated": ("w1",), "guests": 1, "instance_type": "h100-8", "engine": "slurm",
        "agent": "heard", "engine_silent_since": None, "last_seen": AT, "last_org": "lab",
        "holders": (HOLDER,), "fabric_nodes": 4, "buffer": 1, "reservations": (RESERVED,),
        "incidents": (INCIDENT,),
    }  # fmt: skip
    return NodeInFull(**{**values, **changes})


def said(capsys: pytest.CaptureFixture[str], node: NodeInFull) -> list[str]:
    nodes.in_full(node)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_all_of_a_node_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, in_full())
    for line in (
        "health suspect (slow)",
        "drain draining: fan 4",
        "cordoned by ann since 2026-01-31 12:05: a cable",
        "GPUs 4 of 8 held, 4 free",
        "pool box (slurm), agent heard",
        "last seen 2026-01-31 12:05",
        "market, fabric box, leaf of 4 nodes",
        "buffer 1 node of the fabric",
        "reserved r of acme: 2 nodes, idle ones lent at 1.25, keeps 1",
        "w1 train lab ann running 4 0",
        "incident-3 fatal xid-79 2026-01-31 12:05 open",
    ):
        assert line in lines, lines


def test_an_empty_healthy_node_says_no_more_than_that(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(
        capsys,
        in_full(
            drain=None, drain_reason=None, health="healthy", health_reason="", cordons=(),
            seated=(), guests=0, gpus_held=0, last_seen=None, last_org=None, holders=(), buffer=0,
            reservations=(), incidents=(), engine_silent_since=AT, agent="silent",
        ),
    )  # fmt: skip
    assert lines == [
        "node n1",
        "health healthy",
        "GPUs 0 of 8 held, 8 free",
        "instance type h100-8",
        "pool box (slurm), slurm silent since 2026-01-31 12:05",
        "last seen not since the server started",
        "market, fabric box, leaf of 4 nodes",
    ]


def test_a_drain_without_a_reason_names_the_person(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.pool()
    as_user(monkeypatch, fresh, fresh.operator)
    me = json.loads(run("status", "--json").stdout)["user"]
    assert f"drained by {me}" in run("node", "drain", "lab-1").output
    assert "a new fan" in run("node", "drain", "lab-2", "-r", "a new fan").output
