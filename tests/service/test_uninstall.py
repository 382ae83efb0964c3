"""What is left of Parkade once everything was killed and the last steps of docs/operate.md were
taken: no process, and no file outside the folders that they name."""

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.crash.marketplace import POOL, ROOT
from tests.service.room import Room, room, why_not
from tests.service.served import Served
from tests.service.test_agents import PARKADE, agent_of, submit
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(why_not()), reason=f"no room can be built: {why_not()}"),
]

DAEMON = "(env -i setsid /bin/sh -c 'trap \"\" TERM; while :; do sleep 0.2; done' &)"
STAYS = f"trap '' TERM; {DAEMON}; touch up.$PARKADE_ATTEMPT; while :; do sleep 0.2; done"
SAVES = "trap 'touch saved; exit 85' TERM; touch up.$PARKADE_ATTEMPT; while :; do sleep 0.2; done"


class Guest(Served):
    """A server in a room, and commands beside it."""

    def __init__(self, folder: Path, place: Room) -> None:
        super().__init__(folder)
        self.place = place
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(Path.home()),
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PARKADE_SERVER_ROOT_WORKLOADS": "true",
        }

    def begin(self) -> None:
        where = ["--data-folder", str(self.data), "--port", str(self.port)]
        words = [*PARKADE, "up", *where, "--token-file", str(self.folder / "token")]
        self.process = self.place.start(words, self.errors, self.environment)  # type: ignore[assignment]
        until(self._is_up, self.errors.read_text)
        self.token = (self.folder / "token").read_text().strip()

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz").is_success
        except httpx.TransportError:
            return False

    def parkade(self, *words: str, given: str = "") -> str:
        done = self.place.run([*PARKADE, *words], self.environment, given)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    with room(tmp_path) as place:
        made = Guest(tmp_path, place)
        yield made
        if made.process is not None:
            made.process.kill()
            made.process.communicate()


def named_in_the_docs() -> list[Path]:
    """What the page tells to delete beside the data folder and the clone."""
    page = (ROOT / "docs" / "operate.md").read_text()
    (sentence,) = re.findall(
        r"Then delete the data folder,(.*?)Parkade writes nowhere else", page, re.S
    )
    found = []
    for word in re.findall(r"`([^`]+)`", sentence):
        word = word.replace("UID", str(os.geteuid()))
        found.append(Path("/tmp", Path(word).expanduser()))
    assert len(found) == 3, sentence
    return found


def is_below(path: Path, folders: list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def test_after_kill_9_of_everything_the_documented_steps_leave_nothing(guest: Guest) -> None:
    guest.begin()
    address = f"http://127.0.0.1:{guest.port}"
    guest.parkade("login", address, "--token-file", "-", given=guest.token)
    guest.ask("POST", "/pools", POOL)
    gang = submit(guest, STAYS, nodes=2, gpus=4)
    spec = {"name": "w", "command": SAVES, "workdir": str(guest.folder), "limit_price": "2"}
    saves = guest.ask("POST", "/workloads", {"org": "acme", "spec": spec})["workload"]
    for workload in (gang, saves):
        until((guest.folder / f"up.{workload}.1").exists)
    assert gang in guest.parkade("ps")

    agent = agent_of(guest)
    states = [json.loads(it.read_text()) for it in guest.data.glob("pools/box/**/state.json")]
    (keeper,) = (it["keeper_pid"] for it in states if it["attempt"] == f"{gang}.1")
    assert guest.process is not None
    for process in (keeper, agent, guest.process.pid):
        kill(process)
    guest.process.wait()
    until(lambda: not any("parkade.service" in it for it in guest.place.processes().values()))
    assert sum("while :" in it for it in guest.place.processes().values()) >= 4, "work goes on"

    pool = str(guest.data / "pools" / "box")
    told = guest.parkade("agent", "end", "--data-folder", pool, "--notice", "1")
    assert told.endswith("nothing is running now\n") and "saved, exit 85" in told
    assert (guest.folder / "saved").exists(), "it had its notice"
    until(lambda: not guest.place.processes(), guest.place.processes)

    named = named_in_the_docs()
    others = {it for it in guest.place.written() if not is_below(it, [ROOT, Path(sys.prefix)])}
    assert others, "the login and the devices were written in the room"
    assert {it for it in others if not is_below(it, named)} == set()
    shutil.rmtree(guest.data)
    guest.place.run(["rm", "-r", "--force", *map(str, named)], guest.environment)
    assert {it for it in guest.place.written() if it in others} == set()
