"""Mars beside the real Prometheus and Alertmanager, on loopback: scrape, fire, arrive, resolve.

`tools/get-prometheus` finds or fetches both; without them these tests skip. Every expression of
the shipped rules and of the dashboard is asked of the real Prometheus.
"""

import http.server
import json
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from parkade.mars.shipped import shipped_text

ROOT = Path(__file__).resolve().parents[2]
FETCHED = ROOT / "build" / "prometheus" / "usr" / "bin"
# Those that are installed come first, as in tools/get-prometheus.
BIN = Path(shutil.which("prometheus-alertmanager") or FETCHED / "prometheus-alertmanager").parent
TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")
PATIENCE_S = 240.0
BETWEEN_S = 0.2
MAIN = "from parkade.cli import main; main()"
XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not ((BIN / "prometheus").exists() and TEMPLATES.exists()),
        reason="no Prometheus; run tools/get-prometheus",
    ),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Webhook:
    """Takes what Alertmanager sends; `wait` gives the first alert that fits."""

    def __init__(self) -> None:
        arrived: queue.Queue[dict[str, Any]] = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                for alert in json.loads(self.rfile.read(length))["alerts"]:
                    arrived.put(alert)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.arrived = arrived
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def wait(self, wanted: set[tuple[str, str]]) -> None:
        """Until every (name, status) has arrived."""
        missing, until = set(wanted), time.monotonic() + PATIENCE_S
        while missing:
            alert = self.arrived.get(timeout=max(0.1, until - time.monotonic()))
            missing.discard((alert["labels"]["alertname"], alert["status"]))

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Prometheus:
    """The real one, with the `prometheus.yaml` of its folder, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        with (folder / "prometheus.log").open("wb") as log:
            self.child = subprocess.Popen(
                [
                    str(BIN / "prometheus"),
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )
        _until_answers(f"http://127.0.0.1:{self.port}/-/ready")

    def query(self, expression: str) -> list[Any]:
        """What it answers; an error fails the test."""
        return ask(self.port, expression)

    def close(self) -> None:
        self.child.terminate()
        self.child.wait(60)


def ask(port: int, expression: str) -> list[Any]:
    """What the Prometheus on a port answers."""
    words = urllib.parse.urlencode({"query": expression})
    url = f"http://127.0.0.1:{port}/api/v1/query?{words}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        body = json.load(answer)
    assert body["status"] == "success", expression
    found: list[Any] = body["data"]["result"]
    return found


class Stack:
    """Mars, Prometheus, Alertmanager and a webhook, each on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "kern.log"
        self.log.touch()
        self.webhook = Webhook()
        self.children: list[subprocess.Popen[bytes]] = []
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        folder = self.folder
        self.mars, self.alertmanager, self.prometheus = (free_port() for _ in range(3))
        (folder / "rules.yaml").write_text(shipped_text("prometheus-rules.yaml"))
        self._write_configs()
        self._start(
            str(BIN / "prometheus-alertmanager"),
            f"--config.file={folder / 'alertmanager.yaml'}",
            f"--storage.path={folder / 'am'}",
            f"--web.listen-address=127.0.0.1:{self.alertmanager}",
            "--cluster.listen-address=",
        )
        self._start(
            str(BIN / "prometheus"),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.prometheus}",
        )
        for port, path in ((self.alertmanager, "-/ready"), (self.prometheus, "-/ready")):
            _until_answers(f"http://127.0.0.1:{port}/{path}")
        self._start(sys.executable, "-c", MAIN, "mars", "run", "--config", str(folder / "run.yaml"))
        _until_answers(f"http://127.0.0.1:{self.mars}/metrics")

    def query(self, expression: str) -> list[Any]:
        """What Prometheus answers; an error fails the test."""
        return ask(self.prometheus, expression)

    def close(self) -> None:
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            child.wait(60)
        self.webhook.close()

    def _start(self, *words: str) -> None:
        log = (self.folder / f"{len(self.children)}.log").open("wb")
        with log:
            self.children.append(subprocess.Popen(words, stdout=log, stderr=log))

    def _write_configs(self) -> None:
        target = f"127.0.0.1:{self.mars}"
        configs: dict[str, object] = {
            "run.yaml": {
                "format": 1,
                "every": "1s",
                "listen": target,
                "resolve_after": "20s",
                "policy": str(self.folder / "policy.yaml"),
                "alertmanager": f"http://127.0.0.1:{self.alertmanager}",
                "nodes": [{"node": "n1", "kernel_log": str(self.log)}],
            },
            "policy.yaml": {
                "format": 1,
                "name": "quick",
                "version": "1",
                "extends": "default",
                "windows": {"coalesce": "1s", "burst_gap": "5s"},
            },
            "prometheus.yaml": {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": ["rules.yaml"],
                "scrape_configs": [{"job_name": "mars", "static_configs": [{"targets": [target]}]}],
                "alerting": {
                    "alertmanagers": [
                        {"static_configs": [{"targets": [f"127.0.0.1:{self.alertmanager}"]}]}
                    ]
                },
            },
            "alertmanager.yaml": {
                "route": {
                    "receiver": "hook",
                    "group_by": ["alertname"],
                    "group_wait": "1s",
                    "group_interval": "1s",
                    "repeat_interval": "1h",
                },
                "receivers": [
                    {
                        "name": "hook",
                        "webhook_configs": [
                            {"url": f"http://127.0.0.1:{self.webhook.server.server_port}/"}
                        ],
                    }
                ],
            },
        }
        for name, content in configs.items():
            (self.folder / name).write_text(yaml.safe_dump(content))


def _until_answers(url: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            assert time.monotonic() < until, url
            time.sleep(BETWEEN_S)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    found = Stack(tmp_path_factory.mktemp("stack"))
    yield found
    found.close()


def test_a_fatal_verdict_is_scraped_fires_arrives_and_resolves(stack: Stack) -> None:
    with stack.log.open("a") as handle:
        handle.write(f"{XID}\n")
    names = ("ParkadeMarsVerdict", "ParkadeMarsFatal")
    stack.webhook.wait({(name, "firing") for name in names})
    stack.webhook.wait({(name, "resolved") for name in names})


def test_lines_that_may_have_been_missed_are_scraped_and_fire(stack: Stack) -> None:
    with stack.log.open("a") as handle:
        handle.write(f"{XID}\n")
    until = time.monotonic() + PATIENCE_S
    while not stack.query("parkade_mars_verdict_level == 3"):
        assert time.monotonic() < until, "the line is not read"
        time.sleep(BETWEEN_S)
    assert stack.query("parkade_mars_log_gaps_total == 0")
    stack.log.write_text("")
    stack.webhook.wait({("ParkadeMarsLinesMissed", "firing")})
    (gaps,) = stack.query("parkade_mars_log_gaps_total")
    assert gaps["metric"]["log"] == str(stack.log) and gaps["value"][1] == "1"


def expressions() -> list[str]:
    """Every expression of the rules, without what it is compared with, and of the dashboard."""
    rules = yaml.safe_load(shipped_text("prometheus-rules.yaml"))
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    bare = [re.split(r" (?:>|<|==) \d+$", each)[0] for each in asked]
    board = json.loads(shipped_text("grafana-dashboard.json"))
    return bare + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_every_expression_of_rules_and_dashboard_has_data(stack: Stack) -> None:
    with stack.log.open("a") as handle:
        handle.write(f"{XID}\n")
    until = time.monotonic() + PATIENCE_S
    while not stack.query("parkade_mars_verdict_level == 3"):
        assert time.monotonic() < until
        time.sleep(BETWEEN_S)
    # A rate needs two scrapes of its counter.
    while not stack.query("rate(parkade_mars_symptoms_total[5m])"):
        assert time.monotonic() < until
        time.sleep(BETWEEN_S)
    for expression in expressions():
        while not stack.query(expression):
            assert time.monotonic() < until, expression
            time.sleep(BETWEEN_S)


def test_the_rules_pass_the_checks_of_promtool(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(shipped_text("prometheus-rules.yaml"))
    subprocess.run([str(BIN / "promtool"), "check", "rules", str(rules)], check=True)
