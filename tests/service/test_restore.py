"""A backup that was put back: names are given again, and nobody meets what had them before."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.marketplace import POOL, is_alive
from tests.service.served import Served, serving, wait_for_process
from tests.waits import until


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as made:
        yield made


def submit(served: Served, org: str, command: str) -> str:
    spec = {
        "name": "w",
        "command": command,
        "workdir": str(served.folder),
        "limit_price": "2",
    }
    return str(served.ask("POST", "/workloads", {"org": org, "spec": spec})["workload"])


def test_a_restored_server_ends_what_it_forgot_and_shows_its_output_to_nobody(
    served: Served,
) -> None:
    served.ask("POST", "/pools", POOL)
    for org in ("acme", "lab"):
        served.ask("POST", "/orgs", {"org": org})
        served.ask("POST", f"/orgs/{org}/deposits", {"amount": "100"})
    backup = served.folder / "backup.sqlite3"
    running, copy = sqlite3.connect(served.data / "parkade.sqlite3"), sqlite3.connect(backup)
    running.backup(copy)
    running.close()
    copy.close()
    forgotten = submit(served, "lab", "echo process $$; while :; do sleep 0.05; done")
    process = wait_for_process(served, forgotten)
    served.stop()
    served.start()
    served.stop()
    assert is_alive(process)
    for name in ("parkade.sqlite3", "parkade.sqlite3-wal", "parkade.sqlite3-shm"):
        (served.data / name).unlink(missing_ok=True)
    (head,) = served.data.glob("*head*")
    head.unlink()
    backup.rename(served.data / "parkade.sqlite3")

    served.start()
    assert submit(served, "acme", "echo I am acme") == forgotten
    until(lambda: not is_alive(process))
    until(lambda: served.ask("GET", f"/workloads/{forgotten}")["phase"] == "failed")
    shown = served.ask("GET", f"/workloads/{forgotten}")
    assert "submit it anew" in str(shown)
    assert "process" not in served.attempt_to("GET", f"/workloads/{forgotten}/logs").text
    assert not float(shown["spent"]), shown
    again = submit(served, "acme", "echo I am acme")
    until(lambda: served.ask("GET", f"/workloads/{again}")["phase"] == "succeeded")
    assert served.ask("GET", f"/workloads/{again}/logs") == "I am acme\n"
    served.stop()
