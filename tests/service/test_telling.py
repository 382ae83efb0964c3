"""What is told outside of an incident: by webhook once, to Alertmanager while it stands."""

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from parkade.control.plane import Plane
from parkade.control.rules import RULES
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.messages.queue_file import QueueUnreachable
from parkade.service import telling
from parkade.service.message_metrics import MessageCollector
from parkade.service.settings import BadSettings
from parkade.service.telling import Telling, in_thread, read_messages_file, senders_of
from parkade.store import open_sqlite
from tests import builders
from tests.agent.test_agent import until
from tests.api.test_turns import made_plane
from tests.core.repairing.sick import verdict
from tests.messages.test_queue import post, web

pytestmark = pytest.mark.system


def write(folder: Path, hook: str, alertmanager: str | None = None) -> None:
    secret = folder / "secret"
    secret.write_text(secrets.token_hex(16))
    secret.chmod(0o600)
    text = f"format: 1\nwebhooks:\n  ops: {{url: '{hook}', secret_file: {secret}}}\n"
    if alertmanager is not None:
        text += f"alertmanager: {alertmanager}\n"
    (folder / "messages.yaml").write_text(text)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Plane]:
    """A plane with a pool, and what tells of it."""
    async with telling_of(folder) as (plane, _):
        yield plane


@asynccontextmanager
async def telling_of(folder: Path) -> AsyncIterator[tuple[Plane, Telling]]:
    """Also what tells."""
    store = open_sqlite(folder / "journal.sqlite3")
    plane = made_plane(store, RULES)
    plane.start()
    stop = asyncio.Event()
    teller = Telling(plane, read_messages_file(folder), folder)
    task = asyncio.create_task(teller.run(stop))
    try:
        yield plane, teller
    finally:
        stop.set()
        await task
        await plane.close()
        store.close()


async def sick(plane: Plane, node: str = "a1") -> None:
    await plane.execute(builders.open_pool("pool", {"a": 4}))
    await plane.execute(commands.CreateOrg(by=None, org="house"))
    await plane.execute(builders.create_user("ann", "house", role=Role.OPERATOR))
    await report(plane, node)


async def report(plane: Plane, node: str) -> None:
    """An agent says that a node is sick."""
    found = verdict(node, at_us=plane.present_us())
    await plane.execute(commands.ReportVerdict(by=None, pool="pool", verdict=found))


def kinds(got: list[tuple[dict[str, str], bytes]]) -> list[str]:
    return [json.loads(body)["kind"] for _, body in got]


def test_a_webhook_hears_an_incident_once_also_over_a_restart(tmp_path: Path) -> None:
    async def body() -> None:
        with web(500) as (url, got):
            write(tmp_path, url)
            async with serving(tmp_path) as plane:
                # The outbox begins where the journal stands when it is new.
                await until(lambda: (tmp_path / "messages.sqlite3").exists())
                await plane.execute(commands.SetAutomation(by=None, reason="x", is_on=False))
                await until(lambda: got)
                await sick(plane)
                await until(lambda: "incident_opened" in kinds(got))
            heard = len(got)
            async with serving(tmp_path) as plane:
                await plane.execute(commands.SetAutomation(by=None, reason="y", is_on=True))
                await until(lambda: len(got) > heard)
            told = [json.loads(body) for _, body in got]
            opened = [it for it in told if it["kind"] == "incident_opened"]
            assert len(opened) == 1 and opened[0]["body"]["held"] == "observe_only"
            assert "fatal xid/79" in opened[0]["subject"]

    asyncio.run(body())


def test_a_mail_and_a_webhook_each_hear_an_incident_and_its_end(tmp_path: Path) -> None:
    async def body(url: str, port: int, lines: list[str]) -> None:
        write(tmp_path, url)
        with (tmp_path / "messages.yaml").open("a") as file:
            server = f"server: 127.0.0.1, port: {port}"
            file.write(f"mail:\n  hall: {{{server}, from: p@x.org, to: hall@x.org}}\n")
        async with serving(tmp_path) as plane:
            await until(lambda: (tmp_path / "messages.sqlite3").exists())
            await sick(plane)
            await plane.execute(commands.RestoreNode(by="ann", node="a1"))
            await until(lambda: {"incident_opened", "incident_closed"} <= set(kinds(got)))
            await until(lambda: sum(it.startswith("Subject: ") for it in list(lines)) == len(got))
            subjects = {json.loads(body)["subject"] for _, body in got}
            assert {it[9:].strip() for it in lines if it.startswith("Subject: ")} == subjects
            assert "node: a1\r\n" in lines and "signal: xid/79\r\n" in lines

    with web() as (url, got), post() as (port, lines):
        asyncio.run(body(url, port, lines))


def test_after_a_restored_backup_what_is_new_is_told_though_its_numbers_were_given_before(
    tmp_path: Path,
) -> None:
    async def said(reason: str, *, is_on: bool = True) -> None:
        async with serving(tmp_path) as plane:
            await until(lambda: (tmp_path / "messages.sqlite3").exists())
            await plane.execute(commands.SetAutomation(by=None, reason=reason, is_on=is_on))
            await until(lambda: reason in [json.loads(it)["body"].get("reason") for _, it in got])

    async def body() -> None:
        write(tmp_path, url)
        await said("first", is_on=False)
        shutil.copy(journal, tmp_path / "backup")
        await said("lost with the disk")
        shutil.copy(tmp_path / "backup", journal)
        (tmp_path / "journal.sqlite3.head").unlink()
        await said("after the restore")
        names = [json.loads(it)["name"] for _, it in got]
        assert len(set(names)) == len(names) == 3

    journal = tmp_path / "journal.sqlite3"
    with web() as (url, got):
        asyncio.run(body())


def test_messages_that_were_heard_refused_and_given_up_are_counted(tmp_path: Path) -> None:
    async def body() -> None:
        with web(410) as (url, got):
            write(tmp_path, url)
            async with telling_of(tmp_path) as (plane, teller):

                def counted() -> list[float]:
                    page = MessageCollector(teller).collect()
                    return [family.samples[0].value for family in page]

                await until(lambda: (tmp_path / "messages.sqlite3").exists())
                await plane.execute(commands.SetAutomation(by=None, reason="x", is_on=False))
                await until(lambda: counted() == [0, 1, 1])
                await plane.execute(commands.SetAutomation(by=None, reason="y", is_on=True))
                await until(lambda: counted() == [1, 1, 1])
            assert len(got) == 2

    asyncio.run(body())


def test_an_alert_stands_with_its_incident_and_is_silenced_by_a_persons_cordon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "EVERY_S", 0.05)

    async def body() -> None:
        with web() as (url, got):
            write(tmp_path, f"{url}/none", url.removesuffix("/hook"))
            async with serving(tmp_path) as plane:
                await sick(plane)

                def alerts() -> list[dict[str, Any]]:
                    posts = [json.loads(body) for head, body in list(got)]
                    return posts[-1] if posts and isinstance(posts[-1], list) else []

                found = await until(alerts)
                assert found[0]["labels"]["alertname"] == "ParkadeIncident"
                assert found[0]["labels"]["severity"] == "critical"
                assert found[0]["endsAt"] > found[0]["startsAt"]
                await plane.execute(commands.CordonNode(by="ann", node="a1", reason="mine"))
                await until(lambda: alerts()[0]["endsAt"] < found[0]["endsAt"])

    asyncio.run(body())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("format: 2\n", "format"),
        ("format: 1\nwebhooks: {a: {url: 'ftp://x', secret_file: /s}}\n", "url"),
        ("format: 1\nalertmanager: nowhere\n", "alertmanager"),
        ("format: 1\nmail: {a: {server: 'h:25', from: a@b.c, to: d@e.f}}\n", "beside it port: 25"),
    ],
)
def test_a_fault_of_the_file_is_named_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "messages.yaml").write_text(text)
    with pytest.raises(BadSettings, match=place):
        read_messages_file(tmp_path)


def test_a_secret_that_others_read_or_that_is_short_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "http://127.0.0.1:9/hook")
    file = read_messages_file(tmp_path)
    assert file is not None and set(senders_of(file)) == {"webhook/ops"}
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(BadSettings, match="chmod 600"):
        senders_of(file)
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "secret").write_text("short")
    with pytest.raises(BadSettings, match="at least 16 bytes"):
        senders_of(file)


def test_without_a_file_nothing_is_told(tmp_path: Path) -> None:
    assert read_messages_file(tmp_path) is None


def test_a_thread_that_cannot_be_started_is_a_queue_that_is_not_reached() -> None:
    class Full(ThreadPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("can't start new thread")

    async def body() -> None:
        assert await in_thread(divmod, 7, 2) == (3, 1)
        asyncio.get_running_loop().set_default_executor(Full())
        with pytest.raises(QueueUnreachable, match="no room for a thread"):
            await in_thread(divmod, 7, 2)

    asyncio.run(body())
