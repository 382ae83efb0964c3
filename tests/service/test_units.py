"""The unit files: systemd takes them, and their stops and upgrades leave work alone."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.mars.alerting import TIMEOUT_S
from parkade.mars.run_file import DrainEntry
from parkade.service.systemd import inherited_socket, tell
from parkade.service.units import NAMES, unit, write_units
from tests.crash.marketplace import POOL, is_alive
from tests.service.served import Served, wait_for_process
from tests.service.unit_manager import PlayedUnit, handed, parkade, sections
from tests.waits import until

BIN = Path("/opt/parkade/bin")
ANALYZE = shutil.which("systemd-analyze")
WORKS = "echo process $$; while [ ! -e go ]; do sleep 0.05; done; echo done"


def test_units_name_the_program_and_none_that_was_changed_is_replaced_unasked(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "not yet there"
    written = write_units(folder, bin_folder=BIN, replaces=False)
    assert [path.name for path in written] == list(NAMES)
    for path in written:
        for command in sections(path.read_text())["ExecStart"]:
            assert command.startswith("/opt/parkade/bin/parkade ")
    write_units(folder, bin_folder=BIN, replaces=False)
    changed = written[1]
    changed.write_text("mine")
    with pytest.raises(FileExistsError, match="--replace"):
        write_units(folder, bin_folder=Path("/other"), replaces=False)
    assert changed.read_text() == "mine"
    assert "/other" not in written[2].read_text(), "nothing is written then"
    write_units(folder, bin_folder=BIN, replaces=True)
    assert changed.read_text() == unit(changed.name, bin_folder=BIN)


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_takes_every_unit_without_a_word(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "parkade").write_text("#!/bin/sh\n")
    (folder / "parkade").chmod(0o755)
    paths = write_units(tmp_path, bin_folder=folder, replaces=False)
    instance = [str(path).replace("@.", "@lab.") for path in paths]
    shutil.copy(tmp_path / "parkade-agent@.service", tmp_path / "parkade-agent@lab.service")
    assert ANALYZE is not None
    found = subprocess.run(
        [ANALYZE, "verify", "--man=no", *instance], capture_output=True, text=True, timeout=60
    )
    of_ours = [line for line in found.stderr.splitlines() if "parkade" in line]
    assert (found.returncode, of_ours) == (0, [])


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_the_servers_unit_is_locked_up(tmp_path: Path) -> None:
    """systemd's own scale goes from 0, nothing is allowed, to 10; above 3 it says MEDIUM."""
    write_units(tmp_path, bin_folder=BIN, replaces=False)
    assert ANALYZE is not None
    service = str(tmp_path / "parkade-server.service")
    found = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=20", service],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stdout


def test_the_servers_unit_has_no_rights_but_its_folder_and_its_address() -> None:
    keys = sections(unit("parkade-server.service", bin_folder=BIN))
    assert keys["User"] == ["parkade"]
    assert keys["CapabilityBoundingSet"] == keys["AmbientCapabilities"] == [""]
    assert (keys["ProtectSystem"], keys["StateDirectory"]) == (["strict"], ["parkade"])
    assert "ReadWritePaths" not in keys
    closed = (
        "NoNewPrivileges",
        "ProtectHome",
        "PrivateDevices",
        "PrivateTmp",
        "RestrictNamespaces",
    )
    assert all(keys[name] == ["yes"] for name in closed)
    assert keys["ProtectProc"] == ["invisible"]


def test_a_stop_of_mars_lets_the_command_that_drains_end() -> None:
    keys = sections(unit("parkade-mars.service", bin_folder=BIN))
    assert keys["KillMode"] == ["mixed"], "the signal is for Mars, not for its commands"
    drain = DrainEntry(set=("a",), reason=("b",), undo=("c",))
    longest_s = 2 * drain.timeout.total_seconds() + TIMEOUT_S
    assert float(keys["TimeoutStopSec"][0]) >= longest_s + 10
    assert keys["StateDirectory"] == ["parkade-mars"], "where its journal stands"


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.mark.system
def test_requests_wait_over_an_upgrade_and_the_agents_work_goes_on(
    tmp_path: Path, listening: socket.socket
) -> None:
    served = Served(tmp_path)
    served.port = listening.getsockname()[1]
    token = tmp_path / "operator.token"
    folders = {"/var/lib/parkade/operator.token": str(token), "/var/lib/parkade": str(served.data)}
    server = PlayedUnit(unit("parkade-server.service", bin_folder=BIN), changed=folders)
    folders = {"/var/lib/parkade-agent": str(tmp_path), "/etc/parkade/agents": str(tmp_path)}
    agent = PlayedUnit(
        unit("parkade-agent@.service", bin_folder=BIN), instance="box", changed=folders
    )
    agent.variables["PARKADE_AGENT_SERVER"] = f"http://127.0.0.1:{served.port}"
    agent.variables["PARKADE_AGENT_OPTIONS"] = "--engine-option root_workloads=true"
    try:
        server.start(listening)
        served.token = token.read_text().strip()
        served.ask("POST", "/pools", POOL)
        make_token(served, tmp_path / "box.token")
        agent.start()
        workload = submit(served)
        process = wait_for_process(served, workload)

        assert agent.stop() == 0
        assert server.stop() == 0
        assert is_alive(process)

        answers: list[int] = []
        asking = threading.Thread(
            target=lambda: answers.append(
                served.attempt_to("GET", f"/workloads/{workload}").status_code
            )
        )
        asking.start()
        server.start(listening)
        agent.start()
        asking.join()
        assert answers == [200], "a request that came meanwhile waited, and was answered"

        (tmp_path / "go").touch()
        until(lambda: served.ask("GET", f"/workloads/{workload}")["phase"] == "succeeded")
        shown = served.ask("GET", f"/workloads/{workload}")
        assert (shown["failures"], shown["preemptions"]) == (0, 0)
        assert is_alive(process) is False
    finally:
        agent.close()
        server.close()


def make_token(served: Served, path: Path) -> None:
    made = served.ask("POST", "/pools/box/agent-tokens")
    path.write_text(made["secret"])
    path.chmod(0o600)


def submit(served: Served) -> str:
    served.ask("POST", "/orgs", {"org": "acme"})
    served.ask("POST", "/orgs/acme/deposits", {"amount": "100"})
    spec = {"name": "w", "command": WORKS, "workdir": str(served.folder), "limit_price": "2"}
    return str(served.ask("POST", "/workloads", {"org": "acme", "spec": spec})["workload"])


def test_without_a_manager_there_is_no_socket_and_nobody_is_told() -> None:
    assert inherited_socket({}) is None
    assert inherited_socket({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None, "another's"
    tell("READY=1", {})
    tell("READY=1", {"NOTIFY_SOCKET": "/nowhere/at/all"})


@pytest.mark.system
@pytest.mark.parametrize(("address", "says"), [("0.0.0.0", "allow remote"), ("", "not of TCP")])
def test_a_socket_that_others_reach_or_of_no_tcp_is_refused(
    tmp_path: Path, address: str, says: str
) -> None:
    family = socket.AF_INET if address else socket.AF_UNIX
    with socket.socket(family) as held:
        held.bind((address, 0) if address else str(tmp_path / "s"))
        up = [*parkade(), "up", "--data-folder", str(tmp_path / "data")]
        found = subprocess.run(
            handed(held, up),
            pass_fds=(held.fileno(),),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert (found.returncode, says in found.stderr) == (2, True), found.stderr
