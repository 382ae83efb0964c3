"""A backup that was put back: names are given again, and nobody meets what had them before."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.marketplace import POOL, is_alive
from tests.service.served import Served, serving, wait_for_process
from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.system

PARKADE = [sys.executable, "-c", "from parkade.cli import main; main()"]


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


def admin(served: Served, *arguments: str, refused: bool = False) -> str:
    """What `parkade admin` printed about the server's data folder; where it is refused, why."""
    done = subprocess.run(
        [*PARKADE, "admin", *arguments, "--data-folder", str(served.data)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    if refused:
        assert done.returncode == 2, done.stderr
        return done.stderr
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_restored_server_is_refused_by_agents_until_an_operator_looked_and_accepted(
    served: Served,
) -> None:
    served.ask("POST", "/pools", POOL)
    for org in ("acme", "lab"):
        served.ask("POST", "/orgs", {"org": org})
        served.ask("POST", f"/orgs/{org}/deposits", {"amount": "100"})
    backup = served.folder / "backup.sqlite3"
    assert f"{backup}: " in admin(served, "backup", str(backup))
    forgotten = submit(served, "lab", "echo process $$; while :; do sleep 0.05; done")
    process = wait_for_process(served, forgotten)
    served.ask("POST", "/orgs/acme/disabled", {"is_disabled": True})
    served.stop()
    printed = admin(served, "restore", str(backup))
    assert "refused since the backup" in printed and "  parkade org disable acme --yes\n" in printed
    assert "entries that the backup lacks" in printed
    assert "Agents have obeyed orders that this journal lacks: box" in printed
    assert f"{forgotten}.1" in printed and "lab" in printed
    assert f"until `parkade admin restore --accept-agents --data-folder {served.data}`" in printed
    assert (
        f"2. Start it so that only this machine reaches it: `parkade up --data-folder {served.data}"
        in printed
    )
    assert "4. Open it: " in printed and "mv -t" not in printed, "what runs is not moved"

    served.start()
    assert submit(served, "acme", "echo I am acme") == forgotten
    until(lambda: "that the agent has obeyed" in served.errors.read_text())
    assert is_alive(process)
    assert served.ask("GET", f"/workloads/{forgotten}")["phase"] != "running"
    until(lambda: served.ask("GET", "/pools")["pools"][0]["agent"] == "refuses")
    assert "process" not in served.attempt_to("GET", f"/workloads/{forgotten}/logs").text
    served.stop()
    assert is_alive(process)

    assert f"{forgotten}.1" in admin(served, "restore", "--accept-agents", "--yes")
    served.start()
    until(lambda: not is_alive(process))
    until(lambda: served.ask("GET", f"/workloads/{forgotten}")["phase"] == "failed")
    shown = served.ask("GET", f"/workloads/{forgotten}")
    assert "submit it anew" in str(shown)
    assert "process" not in served.attempt_to("GET", f"/workloads/{forgotten}/logs").text
    # Its org brought nothing of that about (decision 168).
    assert float(shown["spent"]) == 0, shown
    again = submit(served, "acme", "echo I am acme")
    until(lambda: served.ask("GET", f"/workloads/{again}")["phase"] == "succeeded")
    assert served.ask("GET", f"/workloads/{again}/logs") == "I am acme\n"
    served.stop()
    # Accepted once: a journal that loses more is refused again.
    assert not (served.data / "accept-agents").exists()
    assert "nothing to accept" in admin(served, "restore", "--accept-agents", refused=True)
