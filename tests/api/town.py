"""A whole server on a free loopback port: real plane, real store, and agents that tests play."""

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvicorn
from fastapi import FastAPI

from parkade.api import ApiSettings, create_app
from parkade.console import ConsoleSettings, add_console
from parkade.control.clock import SystemClock
from parkade.control.plane import Plane
from parkade.control.settings import PlaneSettings
from parkade.identity.door import Provider
from parkade.messages.receivers import Directory, PeopleRules
from parkade.ports import Capabilities, DesiredState, Observation, ObservedAttempt
from parkade.service.connections import listening_config
from parkade.service.first import make_operator
from parkade.service.wiring import verify_program, what_if_program
from parkade.store import SqlStore, open_postgresql, open_sqlite
from tests import builders
from tests.waits import PATIENCE_S

SETTINGS = ApiSettings(keep_alive_s=0.2, most_body_bytes=1_048_576)


class Town:
    """A server and its operator's token; names are new for each test."""

    def __init__(self, url: str, operator: str, folder: Path) -> None:
        self.url = url
        self.operator = operator
        self.folder = folder
        self.http = httpx.Client(base_url=url, timeout=PATIENCE_S)
        self.has_pool = False
        self.directory = Directory(None, None)
        """Of the receivers that people set, as the server's other parts have it."""

        self._names = itertools.count(1)

    def name(self, kind: str) -> str:
        """A name that nobody has."""
        return f"{kind}-{next(self._names)}"

    def get(self, path: str, token: str | None = None, **params: Any) -> httpx.Response:
        """A question, as the operator where no token is given."""
        return self.http.get(f"/v1{path}", params=params, headers=self.headers(token))

    def post(
        self, path: str, body: object = None, token: str | None = None, key: str | None = None
    ) -> httpx.Response:
        """A change."""
        headers = self.headers(token) | ({"Idempotency-Key": key} if key else {})
        return self.http.post(f"/v1{path}", json=body or {}, headers=headers)

    def headers(self, token: str | None) -> dict[str, str]:
        """Of a token, the operator's where it is None."""
        return {"Authorization": f"Bearer {self.operator if token is None else token}"}

    def done(self, response: httpx.Response) -> Any:
        """The answer of a call that must succeed."""
        assert response.is_success, response.text
        return response.json()

    def user(self, org: str, role: str = "member") -> str:
        """A new user's token."""
        name = self.name("user")
        self.done(self.post("/users", {"user": name, "org": org, "role": role}))
        return str(self.done(self.post("/tokens", {"user": name}))["secret"])

    def org(self, money: str = "1000") -> tuple[str, str]:
        """(a new org with money, its owner's token)."""
        org = self.name("org")
        self.done(self.post("/orgs", {"org": org}))
        self.done(self.post(f"/orgs/{org}/deposits", {"amount": money}))
        return org, self.user(org, "owner")

    def pool(self, nodes: int = 8, **terms: object) -> str:
        """The one pool, of nodes with two GPUs each; nobody runs it but the test."""
        pool = "lab"
        if self.has_pool:
            return pool
        self.has_pool = True
        names = [f"{pool}-{number}" for number in range(1, nodes + 1)]
        body = builders.pool_body(names, pool=pool, terms=builders.terms_body(**terms))
        self.done(self.post("/pools", body))
        return pool

    def spec(self, **keys: object) -> dict[str, object]:
        """A spot workload of one GPU."""
        return {
            "name": "job",
            "command": "python train.py",
            "workdir": "/tmp",
            "limit_price": "2.50",
            **keys,
        }

    def submit(self, pool: str, token: str, **keys: object) -> str:
        """A new workload's id."""
        body = {"spec": self.spec(**keys), "market": pool}
        return str(self.done(self.post("/workloads", body, token))["workload"])

    def desired(self, pool: str) -> DesiredState:
        """What the pool's agent is told now."""
        response = self.get(f"/pools/{pool}/desired")
        assert response.status_code == 200, response.text
        return msgspec.json.decode(response.content, type=DesiredState)

    def wait_for_attempt(self, pool: str, workload: str) -> str:
        """The attempt that the agent is told to run, once there is one."""
        after: dict[str, Any] = {}
        for _ in range(int(PATIENCE_S)):
            response = self.get(f"/pools/{pool}/desired", wait=1, **after)
            if response.status_code == 200:
                state = msgspec.json.decode(response.content, type=DesiredState)
                after = {"after_epoch": state.epoch, "after_sequence": state.sequence}
                for attempt in state.attempts:
                    if attempt.workload == workload:
                        return attempt.attempt
        raise AssertionError(f"{workload} was not launched in {pool}")

    def observe(
        self,
        pool: str,
        *attempts: ObservedAttempt,
        capabilities: Capabilities | None = None,
    ) -> httpx.Response:
        """What the pool's agent says that it sees, and that its engine can."""
        observation = Observation(
            pool=pool,
            at_us=SystemClock().now_us(),
            is_complete=True,
            attempts=attempts,
            capabilities=capabilities,
        )
        return self.http.post(
            f"/v1/pools/{pool}/observation",
            content=msgspec.json.encode(observation),
            headers=self.headers(None),
        )

    @contextmanager
    def printing(self, pool: str, text: bytes) -> Iterator[None]:
        """While it is open an agent answers for the output of everything, which is this text."""
        is_over = threading.Event()

        def agent() -> None:
            with httpx.Client(
                base_url=self.url, headers=self.headers(None), timeout=PATIENCE_S
            ) as http:
                while not is_over.is_set():
                    asked = http.get(f"/v1/pools/{pool}/log-requests", params={"wait": 1}).json()
                    for each in asked:
                        path = f"/v1/pools/{pool}/log-chunks/{each['request']}"
                        http.post(path, content=text[each["offset"] :], params={"last": "true"})

        thread = threading.Thread(target=agent)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join(PATIENCE_S)

    def running(self, attempt: str) -> ObservedAttempt:
        """A first attempt that runs since now."""
        return builders.observed(attempt, started_us=SystemClock().now_us())

    def events(
        self, token: str, *, after: int = 0, last_event_id: str | None = None
    ) -> list[dict[str, Any]]:
        """Everything that a token may see after a position."""
        resumed = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        response = self.http.get(
            "/v1/events",
            params={"after": after, "follow": "false"},
            headers=self.headers(token) | resumed,
        )
        assert response.status_code == 200, response.text
        lines = response.text.splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


@contextmanager
def town(
    folder: Path,
    settings: ApiSettings = SETTINGS,
    *,
    database: str = "",
    provider: Provider | None = None,
    people: PeopleRules | None = None,
    **listening: Any,
) -> Iterator[Town]:
    """A server that runs while the context is open, its journal in a file or in this `database`;
    people log in by `provider`, and set receivers by the rules `people`. `listening` is for
    `listening_config`."""
    ready = threading.Event()
    told: dict[str, Any] = {}
    thread = threading.Thread(
        target=lambda: asyncio.run(
            _serve(
                folder,
                lambda: _opened(folder, database),
                told,
                ready,
                lambda plane, store: create_app(
                    plane,
                    settings,
                    provider=provider,
                    directory=told.setdefault("directory", Directory(store, people)),
                ),
                listening,
            )
        )
    )
    thread.start()
    assert ready.wait(PATIENCE_S), "the server did not start"
    try:
        found = Town(f"http://127.0.0.1:{told['port']}", told["token"], folder)
        found.directory = told["directory"]
        yield found
        found.http.close()
    finally:
        told["server"].should_exit = True
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def _opened(folder: Path, database: str) -> SqlStore:
    if database:
        return open_postgresql(database, head=folder / "postgresql.head")
    return open_sqlite(folder / "parkade.sqlite3", crash_point=lambda _: None)


async def _serve(
    folder: Path,
    open_store: Callable[[], SqlStore],
    told: dict[str, Any],
    ready: threading.Event,
    make_app: Callable[[Plane, SqlStore], FastAPI],
    listening: dict[str, Any],
) -> None:
    def fatal(error: BaseException) -> None:
        raise error

    store = open_store()
    dependencies = builders.dependencies(store, SystemClock(), on_fatal=fatal)
    plane = Plane(dependencies, PlaneSettings(check_every=1, unreachable_after_us=3_600_000_000))
    plane.start()

    def show_secret(secret: str) -> None:
        told["token"] = secret

    await make_operator(plane, show_secret=show_secret, is_new_token_wanted=False)
    app = make_app(plane, store)
    what_if, verify = what_if_program(folder, ""), verify_program(folder, "")
    add_console(app, ConsoleSettings(folder=folder, what_if=what_if, verify=verify))
    config = listening_config(app, timeout_graceful_shutdown=1, **listening)
    told["server"] = server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        told["port"] = bound.getsockname()[1]
        ready.set()
        await server.serve(sockets=[bound])
    await plane.close()
    store.close()
