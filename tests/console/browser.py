"""A real Chromium, driven by Playwright; skipped by name where there is none."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text("utf-8")


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, closed at the end."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """One page of a browser; what it logs as an error is kept, and what it asks of other hosts."""

    def __init__(self, browser: Any, url: str, **context: Any) -> None:
        self.url = url
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", self._look)

    def _hear(self, message: Any) -> None:
        if message.type == "error" and "status of" not in message.text:
            self.errors.append(message.text)

    def _look(self, request: Any) -> None:
        self.asked.append(request.url)
        if not request.url.startswith((self.url, "data:")):
            self.outside.append(request.url)

    def login(self, token: str) -> None:
        """Pastes a token, as a person does."""
        self.page.goto(f"{self.url}/login")
        self.page.fill("#token", token)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(re.compile(f"{re.escape(self.url)}/(supply)?$"))

    def open(self, path: str) -> None:
        """A page, once it is live."""
        self.page.goto(f"{self.url}{path}")
        self.page.wait_for_selector(".link.live")

    def close(self) -> None:
        self.context.close()


def serious(page: Any) -> list[str]:
    """What axe finds that keeps people out."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{it['id']} {[node['target'] for node in it['nodes']][:3]}"
        for it in found["violations"]
        if it["impact"] in ("serious", "critical")
    ]
