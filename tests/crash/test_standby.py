"""Two servers of one journal: the leader dies, hangs, or is cut off, and the other goes on.

A client that knows both addresses asks one thing after another, whoever leads. In the end the
journal has each thing that it was told, once; every entry follows from the one before; each epoch
stands in one piece; and what ran on the nodes ran on.
"""

import contextlib
import itertools
import json
import logging
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import pytest

from parkade.client import Client
from parkade.control.rules import RULES
from parkade.control.whole import check_whole
from parkade.service.wiring import EXIT_SOFTWARE
from parkade.store import open_postgresql
from parkade.wire.mars import SetAutomation
from parkade.wire.spec import WorkloadSpec
from tests import builders
from tests.auditor import audit
from tests.crash.marketplace import is_alive
from tests.crash.postgres_wire import Wire
from tests.messages.test_queue import web
from tests.namespaces import Cable, another_cable, cable, lacking
from tests.service.served import Served
from tests.store import postgres
from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.system

NUMBERS = itertools.count(1)
POOL = builders.pool_body(("n1", "n2"), gpus=4, pool="box", terms=builders.terms_body(backoff="0s"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if not postgres.IS_THERE:
        pytest.skip("PostgreSQL or psycopg is not installed")
    with postgres.server() as address:
        yield address


class Link(Protocol):
    """A way to the database that a test can cut."""

    address: str

    def cut(self) -> None: ...
    def mend(self) -> None: ...
    def close(self) -> None: ...


class RealLink:
    """Through a cable of the kernel's: packets are dropped, and nobody is told."""

    def __init__(self, cable: Cable, database: str) -> None:
        self._cable = cable
        self.address = f"postgresql://parkade@{cable.far}/{urlsplit(database).path.strip('/')}"

    def cut(self) -> None:
        self._cable.cut()

    def mend(self) -> None:
        self._cable.mend()

    def close(self) -> None:
        """The cable's own context takes it away."""


class Half:
    """One of the two servers, and its own link to the database."""

    def __init__(self, folder: Path, link: Callable[[Path], Link]) -> None:
        folder.mkdir()
        self.served = Served(folder)
        self.wire = link(folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.served.port}"

    def start(self) -> None:
        if self.served.process is not None:
            self.served.process.communicate(timeout=PATIENCE_S)
        flags = ("--database", self.wire.address, "--standby", "--url", self.url)
        token = ("--token-file", str(self.served.folder / "token"))
        self.served.start(*flags, *token, "--takeover-s", "3")

    def role(self) -> str | None:
        """What it says of itself; None: nothing."""
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=1.0)
        except httpx.TransportError:
            return None
        assert answer.is_success == (answer.json()["role"] == "leader")
        return str(answer.json()["role"])

    def has_ended(self) -> bool:
        """As one does that lost the lock."""
        assert self.served.process is not None
        if self.served.process.poll() is None:
            return False
        assert self.served.process.returncode == EXIT_SOFTWARE, self.served.errors.read_text()
        return True

    def close(self) -> None:
        if self.served.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.served.process.send_signal(signal.SIGCONT)
                self.served.process.kill()
            self.served.process.communicate()
        self.wire.close()


class Two:
    """Both, and what a client knows of them."""

    def __init__(self, folder: Path, *links: Callable[[Path], Link]) -> None:
        self.folder = folder
        first, second = links
        self.halves = (Half(folder / "one", first), Half(folder / "two", second))
        self.token = ""

    @property
    def urls(self) -> str:
        return ",".join(half.url for half in self.halves)

    def start(self) -> None:
        first, second = self.halves
        first.start()
        until(lambda: first.role() == "leader", first.served.errors.read_text)
        self.token = (first.served.folder / "token").read_text().strip()
        second.start()
        assert second.role() == "standby"

    def leader(self) -> tuple[Half, Half]:
        """The one that leads, and the other, once there is one of each."""

        def found() -> list[Half]:
            roles = [half.role() for half in self.halves]
            is_settled = sorted(filter(None, roles)) == ["leader", "standby"]
            return [h for h in self.halves if h.role() == "leader"] if is_settled else []

        (leader,) = until(found, self.last_words)
        (other,) = (half for half in self.halves if half is not leader)
        return leader, other

    def last_words(self) -> str:
        return "\n".join(half.served.errors.read_text()[-3000:] for half in self.halves)

    def client(self) -> Client:
        return Client(self.urls, token=self.token)

    def close(self) -> None:
        for half in self.halves:
            half.close()


@pytest.fixture
def two(server: str, tmp_path: Path) -> Iterator[Two]:
    database = postgres.new_database(server, f"stood_by_{next(NUMBERS)}")

    def wire(folder: Path) -> Link:
        return Wire(database, folder / "wire")

    made = Two(tmp_path, wire, wire)
    yield made
    made.close()


@pytest.fixture
def two_on_cables(tmp_path: Path) -> Iterator[Two]:
    """Each reaches PostgreSQL over its own network."""
    if not postgres.IS_THERE or lacking():
        pytest.skip(f"not installed or not allowed: {lacking() or 'PostgreSQL or psycopg'}")
    name = f"pk{secrets.token_hex(3)}"
    with cable(name) as first, another_cable(f"{name}b", name) as second:
        addresses = f"{first.far},{second.far}"
        with postgres.server(enter=first.enter, addresses=addresses) as address:
            database = postgres.new_database(address, "apart")
            made = Two(
                tmp_path, *(lambda _folder, it=it: RealLink(it, database) for it in (first, second))
            )
            yield made
            made.close()


class Asking:
    """Deposits one unit after another, each until it is answered, in a thread of its own."""

    def __init__(self, two: Two) -> None:
        self.answered = 0
        self.failure: BaseException | None = None
        self._two = two
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._two.client() as client:
                while not self._stop.is_set():
                    client.deposit_money("acme", "1")
                    self.answered += 1
                    time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.failure = error

    def goes_on(self) -> None:
        """Returns once several more were answered."""
        before = self.answered
        until(lambda: self.failure is not None or self.answered >= before + 3, self._two.last_words)
        assert self.failure is None, self.failure

    def stop(self) -> int:
        """How many were answered in all."""
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert self.failure is None and not self._thread.is_alive()
        return self.answered


def killed(leader: Half, _other: Callable[[], None]) -> None:
    assert leader.served.process is not None
    leader.served.process.kill()
    _other()
    leader.served.process.communicate()


def stopped_and_continued(leader: Half, other: Callable[[], None]) -> None:
    assert leader.served.process is not None
    leader.served.process.send_signal(signal.SIGSTOP)
    other()
    leader.served.process.send_signal(signal.SIGCONT)
    until(leader.has_ended)


def cut_off(leader: Half, other: Callable[[], None]) -> None:
    leader.wire.cut()
    other()
    until(leader.has_ended)
    leader.wire.mend()


def started_agent(two: Two, token: str) -> "subprocess.Popen[str]":
    file = two.folder / "agent.token"
    file.touch(0o600)
    file.write_text(token)
    flags = ["--pool", "box", "--server", two.urls, "--token-file", str(file)]
    place = ["--data-folder", str(two.folder / "node"), "--engine-option", "root_workloads=true"]
    with (two.folder / "agent-errors").open("a") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "parkade.service.agent", *flags, *place],
            stdin=subprocess.DEVNULL,
            stderr=errors,
            text=True,
        )


def test_a_standby_goes_on_however_its_leader_ends_and_never_do_two_write(two: Two) -> None:
    two.start()
    with two.client() as client:
        client.create_org("acme")
        answer = httpx.post(
            f"{two.leader()[0].url}/v1/pools",
            json=POOL,
            headers={"Authorization": f"Bearer {two.token}"},
            timeout=PATIENCE_S,
        )
        assert answer.is_success, answer.text
        client.deposit_money("operator", "1000")
        agent = started_agent(two, client.create_agent_token("box").secret)
        try:
            rounds(two, client)
        finally:
            agent.terminate()
            agent.wait(PATIENCE_S)


def test_a_leader_whose_network_falls_silent_ends_and_the_standby_goes_on(
    two_on_cables: Two,
) -> None:
    """Over TCP, where only time-outs tell either end."""
    two = two_on_cables
    two.start()
    with two.client() as client:
        client.create_org("acme")
        asking = Asking(two)
        for _ in range(2):
            leader, other = two.leader()
            asking.goes_on()
            leader.wire.cut()
            leads(two, other)
            asking.goes_on()
            until(leader.has_ended, two.last_words)
            leader.wire.mend()
            leader.start()
        answered = asking.stop()
    check_journal(two, answered=answered, takeovers=2)


def test_what_a_leader_had_not_sent_is_sent_by_the_one_that_leads_next(
    server: str, tmp_path: Path
) -> None:
    """A webhook is down while the first one leads, and hears from the second one what
    happened then: each message once, under the name that the first one tried."""
    database = postgres.new_database(server, f"told_{next(NUMBERS)}")
    two = Two(tmp_path, *(lambda folder: Wire(database, folder / "wire") for _ in range(2)))
    with contextlib.closing(two), web(*[500] * 99) as (down, tried), web(200) as (hook, heard):
        first, second = two.halves
        for half, url in ((first, down), (second, hook)):
            write_messages(half.served.data, url)
        two.start()
        with two.client() as client:
            client.set_automation(SetAutomation(is_on=False, reason="first"))
            until(lambda: tried, two.last_words)
            assert first.served.process is not None
            first.served.process.kill()
            leads(two, second)
            until(lambda: heard, two.last_words)
            client.set_automation(SetAutomation(is_on=True, reason="second"))
            until(lambda: len(heard) == 2, two.last_words)
    told = [json.loads(body) for _, body in heard]
    assert [it["body"]["reason"] for it in told] == ["first", "second"]
    assert told[0]["name"] == json.loads(tried[0][1])["name"]


def write_messages(folder: Path, hook: str) -> None:
    folder.mkdir(0o700)
    secret = folder / "hook.secret"
    secret.touch(0o600)
    secret.write_text(secrets.token_hex(16))
    text = f"format: 1\nwebhooks:\n  ops: {{url: '{hook}', secret_file: {secret}}}\n"
    (folder / "messages.yaml").write_text(text)


def leads(two: Two, half: Half) -> None:
    """Returns once it does."""
    until(lambda: half.role() == "leader", two.last_words)


def submit(client: Client, spec: dict[str, str]) -> str:
    return client.submit(WorkloadSpec.model_validate(spec), org="operator").workload


def rounds(two: Two, client: Client) -> None:
    runs = two.folder / "runs"
    spec = {"name": "long", "workdir": "/tmp", "limit_price": "5"}
    long = submit(client, {**spec, "command": f"echo long $$ >> {runs}; exec sleep 600"})
    until(lambda: runs.exists() and runs.read_text(), two.last_words)
    process = int(runs.read_text().split()[1])
    asking, seconds = Asking(two), {}
    ways = (killed, stopped_and_continued, cut_off)
    for way in ways:
        leader, other = two.leader()
        asking.goes_on()
        began = time.monotonic()

        def other_leads(other: Half = other, began: float = began) -> None:
            leads(two, other)
            seconds[way.__name__] = time.monotonic() - began  # noqa: B023 - called in this round
            asking.goes_on()

        way(leader, other_leads)
        assert other.role() == "leader"
        leader.start()
        asking.goes_on()
        assert is_alive(process) and runs.read_text().count("long") == 1
    logging.getLogger(__name__).info("seconds until the other leads: %s", json.dumps(seconds))
    short = submit(client, {**spec, "name": "short", "command": "true"})
    until(lambda: client.get_workload(short).phase == "succeeded", two.last_words)
    client.cancel(long, now=True)
    until(
        lambda: client.get_workload(long).ended is not None and not is_alive(process),
        two.last_words,
    )
    answered = asking.stop()
    check_journal(two, answered=answered, takeovers=len(ways))


def check_journal(two: Two, *, answered: int, takeovers: int) -> None:
    leader, other = two.leader()
    for half in (other, leader):
        half.served.stop()
    with contextlib.closing(
        open_postgresql(leader.wire.address, head=two.folder / "head", is_read_only=True)
    ) as store:
        check_whole(store, RULES)
        entries = store.entries(after=0, limit=10**9)
    audit(entry.body for entry in entries)
    assert all(before.epoch <= after.epoch for before, after in pairwise(entries))
    kinds = Counter(entry.type for entry in entries)
    epochs = {entry.epoch for entry in entries}
    assert kinds["EpochOpened"] == len(epochs) == 1 + takeovers
    deposits = [
        transfer
        for entry in entries
        if entry.type == "MoneyMoved"
        for transfer in json.loads(entry.body)["transfers"]
        if transfer["credit"] == "org/acme"
    ]
    assert len(deposits) == answered


def test_a_standby_sends_to_the_leader_and_keeps_its_folder_for_this_journal(two: Two) -> None:
    two.start()
    leader, other = two.leader()
    assert httpx.get(f"{other.url}/healthz").json()["role"] == "standby"
    bearer = {"Authorization": "Bearer pk_any"}
    # It names the leader once it has read its address.
    until(lambda: "Parkade-Leader" in httpx.get(f"{other.url}/v1/whoami", headers=bearer).headers)
    answer = httpx.get(f"{other.url}/v1/whoami", headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (503, "standby")
    assert answer.headers["Parkade-Leader"] == leader.url and leader.url in answer.json()["detail"]
    page = httpx.get(f"{other.url}/market?node=n1")
    assert (page.status_code, page.headers["Location"]) == (307, f"{leader.url}/market?node=n1")
    assert httpx.post(f"{other.url}/login", data={"token": "x"}).status_code == 503
    assert "parkade_leads 0" in httpx.get(f"{other.url}/metrics").text
    assert "parkade_leads 1.0" in httpx.get(f"{leader.url}/metrics").text
    followed = until(lambda: httpx.get(f"{other.url}/healthz").json()["sequence"])
    assert followed <= httpx.get(f"{leader.url}/readyz").json()["sequence"]

    other.served.stop()
    beside = two.folder / "beside"
    beside.mkdir()
    stranger = Served(beside)
    (stranger.data / "pools" / "old").mkdir(parents=True)
    flags = ("--database", leader.wire.address, "--standby")
    with stranger.spawn(subprocess.PIPE, *flags) as refused:
        _, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2 and "empty data folder" in errors and "Traceback" not in errors

    leader.served.stop()
    other.served.start("--database", other.wire.address)
    assert other.role() == "leader", "it joined, and may lead without --standby too"
    other.served.stop()
