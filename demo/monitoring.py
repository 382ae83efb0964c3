"""The real Prometheus beside a play, with the shipped rules; `parkade mars run` on the same logs.

It scrapes the server and the watch each second. What an alert compares is asked without the
comparison: a rule that reads a metric nobody has would never fire, and that is found here. Without
Prometheus (`tools/get-prometheus` fetches it) a play goes on and says so.
"""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from parkade.mars.shipped import shipped_text

FETCHED = Path(__file__).resolve().parents[1] / "build" / "prometheus" / "usr" / "bin"
RULES = ("marketplace-rules.yaml", "prometheus-rules.yaml")
BOARDS = ("marketplace-dashboard.json", "grafana-dashboard.json")
COMPARISON = re.compile(r" (?:[<>]=?|[!=]=) \d+$")
ABSENT = re.compile(r"^absent\(\w+\) or ")
FIRED = 'count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1h]))'
STOP_S, ASK_S = 60.0, 30.0
FIRST_S, BETWEEN_S = 60.0, 0.2


class Answers(NamedTuple):
    """How many expressions were asked, those without data, and the alerts that fired so far."""

    asked: int
    empty: tuple[str, ...]
    fired: tuple[str, ...]


def expressions() -> list[str]:
    """Every expression of the shipped rules, without what it is compared with, and of the
    dashboards."""
    found = []
    for name in RULES:
        groups = yaml.safe_load(shipped_text(name))["groups"]
        rules = (rule["expr"] for group in groups for rule in group["rules"])
        found += [COMPARISON.sub("", ABSENT.sub("", rule)) for rule in rules]
    for name in BOARDS:
        for panel in json.loads(shipped_text(name))["panels"]:
            found += [target["expr"] for target in panel["targets"]]
    return found


def prometheus() -> Path | None:
    """The program: the installed one, or the one that `tools/get-prometheus` fetched."""
    installed = shutil.which("prometheus")
    found = FETCHED / "prometheus" if installed is None else Path(installed)
    return found if found.exists() else None


class Monitoring:
    """Watches a server and the kernel logs of its nodes until `close`."""

    def __init__(self, program: Path, folder: Path, server: str, logs: Mapping[str, Path]) -> None:
        folder.mkdir()
        self._folder = folder
        self._children: list[subprocess.Popen[str]] = []
        try:
            watch = self._watch(logs)
            targets = (server.removeprefix("http://"), watch)
            self._url = self._scrape(program, targets)
            self._await_first(len(targets))
        except BaseException:
            self.close()
            raise

    def answers(self) -> Answers:
        """What Prometheus has by now; nothing while it does not answer yet."""
        asked = expressions()
        try:
            empty = tuple(each for each in asked if not self._ask(each))
            fired = sorted(each["metric"]["alertname"] for each in self._ask(FIRED))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return Answers(len(asked), tuple(asked), ())
        return Answers(len(asked), empty, tuple(fired))

    def close(self) -> None:
        """Ends what was started here."""
        for child in reversed(self._children):
            child.terminate()
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(STOP_S)
            if child.stdout is not None:
                child.stdout.close()

    def _watch(self, logs: Mapping[str, Path]) -> str:
        """`parkade mars run`, which only observes; where it serves its metrics."""
        nodes = [{"node": node, "kernel_log": str(log)} for node, log in logs.items()]
        file = {"format": 1, "every": "1s", "listen": "127.0.0.1:0", "nodes": nodes}
        config = self._folder / "run.yaml"
        config.write_text(yaml.safe_dump(file))
        child = self._start(
            [sys.executable, "-m", "parkade", "mars", "run", "--config", str(config)]
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        found = re.search(r"http://(127\.0\.0\.1:\d+)/metrics", first)
        if found is None:
            raise OSError(f"`parkade mars run` does not start: {first}{child.stdout.read()}")
        return found[1]

    def _scrape(self, program: Path, targets: tuple[str, str]) -> str:
        for name in RULES:
            (self._folder / name).write_text(shipped_text(name))
        scraped = [
            {"job_name": job, "static_configs": [{"targets": [target]}]}
            for job, target in zip(("parkade", "mars"), targets, strict=True)
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": list(RULES),
            "scrape_configs": scraped,
        }
        file = self._folder / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self._start(
            [
                str(program),
                f"--config.file={file}",
                f"--storage.tsdb.path={self._folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
        )
        return f"http://127.0.0.1:{port}"

    def _await_first(self, targets: int) -> None:
        """Until each was scraped: what happens before that is no increase of any counter."""
        until = time.monotonic() + FIRST_S
        while time.monotonic() < until:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if len(self._ask("up == 1")) == targets:
                    return
            time.sleep(BETWEEN_S)
        raise OSError("Prometheus has not scraped all that it watches")

    def _start(self, words: list[str]) -> subprocess.Popen[str]:
        with (self._folder / f"{len(self._children)}.log").open("w") as log:
            is_read = "mars" in words
            child = subprocess.Popen(
                words, stdout=subprocess.PIPE if is_read else log, stderr=log, text=True
            )
        self._children.append(child)
        return child

    def _ask(self, expression: str) -> list[Any]:
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{query}", timeout=ASK_S) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
        return found
