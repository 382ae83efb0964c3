"""The alert of an incident at the real Alertmanager, on loopback: fires, arrives, resolves.

`tools/get-prometheus` fetches Alertmanager; without it these tests skip.
"""

import asyncio
import queue
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from parkade.core.state import commands
from parkade.service import telling
from tests.mars.test_prometheus import BIN, PATIENCE_S, TEMPLATES, Webhook, free_port
from tests.service.test_telling import report, serving, sick

SERVER = BIN / "prometheus-alertmanager"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (SERVER.exists() and TEMPLATES.exists()),
        reason="no Alertmanager; run tools/get-prometheus",
    ),
]


@contextmanager
def alertmanager(folder: Path, hook: int) -> Iterator[str]:
    """The real one, which tells what it hears to a webhook on this port; gives its address."""
    to_hook = {"name": "hook", "webhook_configs": [{"url": f"http://127.0.0.1:{hook}/"}]}
    quick = {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"}
    config = {
        "route": {"receiver": "hook", "group_by": ["node"], **quick},
        "receivers": [to_hook],
    }
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{free_port()}"
    words = [
        str(SERVER),
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with (folder / "alertmanager.log").open("wb") as log:
        child = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE_S
        while not _is_ready(url):
            assert child.poll() is None and time.monotonic() < until, folder
            time.sleep(0.1)
        yield url
    finally:
        child.terminate()
        child.wait(60)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=10).is_success
    except httpx.HTTPError:
        return False


async def heard(webhook: Webhook, node: str, status: str) -> dict[str, str]:
    """Waits until the webhook has an alert of a node in this state; its labels."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            alert = await asyncio.to_thread(webhook.arrived.get, timeout=1.0)
        except queue.Empty:
            continue
        labels: dict[str, str] = alert["labels"]
        if (labels["node"], alert["status"]) == (node, status):
            return labels
    raise AssertionError(f"{node} is not {status}")


def test_an_incident_fires_at_the_real_alertmanager_and_resolves_with_its_end_or_a_cordon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "EVERY_S", 0.2)
    webhook = Webhook()

    async def body(url: str) -> None:
        (tmp_path / "messages.yaml").write_text(f"format: 1\nalertmanager: {url}\n")
        async with serving(tmp_path) as plane:
            await sick(plane, "a1")
            labels = await heard(webhook, "a1", "firing")
            assert labels["alertname"] == "ParkadeIncident"
            assert (labels["severity"], labels["pool"]) == ("critical", "pool")
            await plane.execute(commands.RestoreNode(by="ann", node="a1"))
            again = await heard(webhook, "a1", "resolved")
            assert again == labels, "what resolves is what fired"
            await report(plane, "a2")
            await heard(webhook, "a2", "firing")
            await plane.execute(commands.CordonNode(by="ann", node="a2", reason="I look"))
            await heard(webhook, "a2", "resolved")

    try:
        with alertmanager(tmp_path, webhook.server.server_port) as url:
            asyncio.run(body(url))
    finally:
        webhook.close()
