"""The lot in a real browser: how soon it is there, how soon it follows an event, how it pans.

    python benchmarks/console_browser.py [--nodes 12500] [--repeat 15]

A server process with that many nodes of 8 GPUs, two thirds of them held, and a Chromium with an
operator's page of the lot. Nothing is left out: a request is sent, committed, told to the page by
its stream, and painted.

- `first paint`: from the navigation to the first paint, and to the painted map.
- `update`: from when a request that changes one holder is sent to the frame in which the map shows
  it.
- `pan`: at four times the size, the map is dragged by 4 pixels a frame: the time from frame to
  frame, and what of it the page's script takes.
- `rows`: 30 workloads come while a row of the list is pointed at: how far that row moved.
"""

import argparse
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
import msgspec
from playwright.sync_api import sync_playwright

from benchmarks.service import pool, served
from parkade.client import Client
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt
from parkade.ports import DesiredState, Observation
from parkade.wire.spec import WorkloadSpec

PATIENCE_S = 600.0
PATIENCE_MS = 120_000
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
WATCH = """
window.painted = [];
window.paintMs = 0;
const frame = window.requestAnimationFrame.bind(window);
let told;
window.requestAnimationFrame = (work) => frame((now) => {
  const begin = performance.now();
  work(now);
  const end = performance.now();
  window.paintMs += end - begin;
  const canvas = document.getElementById("lot");
  if (canvas && canvas.dataset.told !== told) {
    told = canvas.dataset.told;
    window.firstMs ??= end;
    window.painted.push(Date.now());
  }
});
"""
"""What a page measures of itself: when it painted what it was told, and how long that took."""

PAN = """
async (frames) => {
  const canvas = document.getElementById("lot");
  const box = canvas.getBoundingClientRect();
  const tell = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
    clientX: x, clientY: y, buttons: 1, bubbles: true, pointerType: "mouse" }));
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  let x = box.left + box.width / 2, y = box.top + box.height / 2;
  tell("pointerdown", x, y);
  tell("pointermove", x -= 8, y);
  await frame();
  const lengths = [], work = [];
  let before = performance.now();
  for (let at = 0; at < frames; at++) {
    x += at % 120 < 60 ? -4 : 4;
    window.paintMs = 0;
    tell("pointermove", x, y);
    const now = await frame();
    await new Promise((done) => setTimeout(done, 0));
    work.push(window.paintMs);
    lengths.push(performance.now() - before);
    before = performance.now();
  }
  tell("pointerup", x, y);
  return { lengths, work };
}
"""


def fill(client: Client, nodes: int) -> None:
    """A pool, four orgs, and single-node work on two thirds of the nodes."""
    fabrics: dict[str, list[str]] = {}
    for number in range(nodes):
        fabrics.setdefault(f"f{number // 250:03}", []).append(f"n{number:05}")
    client.create_pool(pool(site="hall", fabrics=fabrics, gpus=8))
    for org in ("acme", "birch", "cedar", "delta"):
        client.create_org(org)
        client.deposit_money(org, "100000000")
        fields = {"name": org, "command": "true", "workdir": "/tmp", "gpus": 8}
        count = nodes // 6
        fields |= {"limit_price": "5", "array": f"0-{count - 1}%{count}"}
        client.submit(WorkloadSpec.model_validate(fields), org=org)


class Agent:
    """Says every few seconds that all it was told to run runs."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/v1/pools/bench",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60.0,
        )
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(3.0):
            told = msgspec.json.decode(self._http.get("/desired").content, type=DesiredState)
            seen = Observation(
                pool="bench",
                at_us=time.time_ns() // 1_000,
                is_complete=True,
                attempts=tuple(_running(it.attempt, it.generation) for it in told.attempts),
            )
            self._http.post("/observation", content=msgspec.json.encode(seen))

    def close(self) -> None:
        """It says nothing more."""
        self._is_over.set()
        self._thread.join()
        self._http.close()


def _running(attempt: str, generation: int) -> ObservedAttempt:
    return ObservedAttempt(
        attempt=attempt,
        generation=generation,
        phase=EnginePhase.RUNNING,
        started_us=time.time_ns() // 1_000,
        released_us=None,
        exits=(),
        checkpoint=None,
        devices=(),
        launch_error=None,
        engine_state="running",
    )


def seated(client: Client) -> int:
    """How many nodes are held."""
    return sum(bool(node.seats) for node in client.get_lot().nodes)


def until(holds: Callable[[], bool], pause_s: float = 0.05) -> None:
    """Waits for it."""
    ends_at = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > ends_at:
            raise SystemExit("it never came to be")
        time.sleep(pause_s)


def first_paint(page: Any, url: str, repeat: int) -> dict[str, list[float]]:
    """Of the page as it opens anew."""
    found: dict[str, list[float]] = {"first paint": [], "map painted": []}
    for _ in range(repeat):
        page.goto(f"{url}/")
        until(lambda: page.evaluate("window.firstMs !== undefined"))
        shown = page.evaluate(
            "({first: performance.getEntriesByName('first-contentful-paint')[0].startTime,"
            " map: window.firstMs})"
        )
        found["first paint"].append(shown["first"])
        found["map painted"].append(shown["map"])
    return found


def updates(page: Any, client: Client, repeat: int) -> list[float]:
    """From a request to the frame that shows it, in milliseconds."""
    found = []
    names = [node.seats[0].holder for node in client.get_lot().nodes if node.seats]
    for number in range(repeat):
        page.wait_for_timeout(1_500)
        page.evaluate("window.painted = []")
        began_ms = time.time() * 1_000
        client.bid(names[number * 7 % len(names)], limit_price=f"{5.01 + number / 100:.2f}")
        until(lambda: page.evaluate("window.painted.length > 0"))
        found.append(page.evaluate("window.painted[0]") - began_ms)
    return found


def rows(page: Any, client: Client, url: str) -> float:
    """How far a row that is pointed at moves while 30 workloads come, in pixels."""
    page.goto(f"{url}/workloads")
    page.wait_for_selector(".link.live")
    row = page.locator("tbody tr").nth(2)
    row.hover()
    name, before = row.get_attribute("id"), row.bounding_box()["y"]
    fields = {"name": "late", "command": "true", "workdir": "/tmp", "limit_price": "0.01"}
    for _ in range(30):
        client.submit(WorkloadSpec.model_validate(fields), org="acme")
        page.wait_for_timeout(50)
    page.wait_for_timeout(2_000)
    return float(abs(page.locator(f"[id='{name}']").bounding_box()["y"] - before))


def line(name: str, values: list[float], unit: str = "ms") -> None:
    """Prints one figure."""
    median, least, most = statistics.median(values), min(values), max(values)
    print(f"{name:28} {median:8.1f} {unit:3} {least:8.1f} - {most:.1f}", flush=True)


def main() -> None:
    """Everything, printed."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--nodes", type=int, default=12_500)
    words.add_argument("--repeat", type=int, default=15)
    given = words.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with served() as stage, sync_playwright() as driver:
        client = stage.operator
        token = (stage.folder / "operator.token").read_text(encoding="utf-8").strip()
        fill(client, given.nodes)
        agent = Agent(stage.url, token)
        until(lambda: seated(client) >= given.nodes // 6 * 4, pause_s=3)
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(WATCH)
        page.goto(f"{stage.url}/login")
        page.fill("#token", token)
        page.click("button[type=submit]")
        print(f"{given.nodes:,} nodes, {given.nodes * 8:,} GPUs", flush=True)
        for name, values in first_paint(page, stage.url, max(3, given.repeat // 3)).items():
            line(name, values)
        line("update", updates(page, client, given.repeat))
        for name, zooms in (("pan", 4), ("pan, closer", 9)):
            page.click("#fit")
            for _ in range(zooms):
                page.click("#closer")
            panned = page.evaluate(PAN, 120)
            line(f"{name}: frame to frame", panned["lengths"])
            line(f"{name}: the script's part", panned["work"])
        line("a row pointed at moves", [rows(page, client, stage.url)], "px")
        browser.close()
        agent.close()


if __name__ == "__main__":
    main()
