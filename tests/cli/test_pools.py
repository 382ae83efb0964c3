"""What `pool list` and `pool show` say of an agent, and of an engine that does not answer it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from parkade.cli.pools import agent_state, overview, show_one
from parkade.wire.pools import Pool, Pools

SINCE = datetime(2026, 1, 31, 12, 5, tzinfo=UTC)
WORDS = "Slurm does not answer the agent: squeue: connection refused"


def pool(**changes: Any) -> Pool:
    values: dict[str, Any] = {
        "pool": "box", "site": "here", "engine": "slurm", "supplier": None, "agent": "silent",
        "agent_says": WORDS, "engine_silent_since": SINCE, "nodes": 2, "nodes_in_play": 2,
        "nodes_draining": 0, "nodes_drained": 0, "supplies": (),
    }  # fmt: skip
    return Pool(**{**values, **changes})


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_pool_list_names_slurm_and_not_the_agent(capsys: pytest.CaptureFixture[str]) -> None:
    overview(Pools(pools=(pool(),), markets=()))
    found = said(capsys)
    assert "Slurm silent" in found and f"box: {WORDS} (since 2026-01-31 12:05)." in found
    overview(Pools(pools=(pool(agent_says=None),), markets=()))
    assert "box: Slurm does not answer the agent (since 2026-01-31 12:05)." in said(capsys)


def test_pool_show_says_since_when(capsys: pytest.CaptureFixture[str]) -> None:
    show_one(pool())
    found = said(capsys)
    assert "agent Slurm does not answer it (since 2026-01-31 12:05)" in found and WORDS in found


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "Slurm silent"),
        ({"agent": "heard"}, "Slurm silent"),
        ({"agent": "refuses"}, "refuses"),
        ({"engine_silent_since": None}, "silent"),
        ({"engine": "other"}, "other silent"),
    ],
)
def test_the_agent_is_named_only_where_it_is_to_blame(changes: dict[str, Any], state: str) -> None:
    assert agent_state(pool(**changes)) == state
