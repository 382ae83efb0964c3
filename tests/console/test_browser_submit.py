"""The form of a new workload in a real browser: no fault is hidden, and nothing typed is lost."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import builders
from tests.api.town import Town
from tests.api.town import town as running
from tests.console.browser import Tab

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A server with two markets of the same nodes."""
    with running(tmp_path_factory.mktemp("two")) as town:
        town.pool()
        body = builders.pool_body(["hall-1"], pool="hall", terms=builders.terms_body())
        town.done(town.post("/pools", body))
        yield town


@pytest.fixture
def seen(browser: Any, two: Town) -> Iterator[Tab]:
    _, owner = two.org()
    found = Tab(browser, two.url)
    found.login(owner)
    found.open("/submit")
    yield found
    assert found.errors == []
    found.close()


def fill(page: Any, **fields: str) -> None:
    for name, text in fields.items():
        page.fill(f"#{name}", text)


def test_a_fault_of_a_field_that_nobody_touched_is_told(seen: Tab) -> None:
    page = seen.page
    fill(page, name="a", command="true", workdir="/tmp")
    page.locator("#plan", has_text="It needs for spot a limit").wait_for()
    assert page.inner_text("#fault-limit_price") == ""
    page.fill("#limit_price", "2")
    page.locator("#fault-market", has_text="name one: hall, lab").wait_for()
    assert page.get_attribute("#market", "aria-invalid") == "true" and page.is_disabled("#go")
    page.select_option("#market", "hall")
    page.locator("#go:enabled").wait_for()
    assert page.inner_text("#fault-market") == ""


@pytest.mark.parametrize(("field", "text"), [("more", "a: ["), ("gpus", "9")])
def test_a_fault_of_the_field_that_is_typed_in_is_told(seen: Tab, field: str, text: str) -> None:
    page = seen.page
    fill(page, name="a", command="true", workdir="/tmp", limit_price="2")
    page.select_option("#market", "lab")
    page.locator("#go:enabled").wait_for()
    page.fill(f"#{field}", text)
    page.locator(f"#fault-{field}", has_text=" ").wait_for()
    assert page.evaluate("document.activeElement.id") == field


def test_a_server_that_is_away_takes_nothing_that_was_typed(seen: Tab) -> None:
    page = seen.page
    fill(page, name="a", command="true", workdir="/tmp", limit_price="2")
    page.context.set_offline(True)
    page.click("button[value=plan]")
    page.locator("#unreached", has_text="was not reached").wait_for()
    assert page.input_value("#command") == "true" and page.url.endswith("/submit")
    page.select_option("#market", "lab")
    page.context.set_offline(False)
    page.locator("#go:enabled").wait_for()
    assert page.inner_text("#unreached") == ""
    seen.errors = [it for it in seen.errors if "ERR_INTERNET_DISCONNECTED" not in it]


def test_a_form_that_was_planned_more_than_once_is_sent_once(seen: Tab) -> None:
    page = seen.page
    fill(page, name="once", command="true", workdir="/tmp", limit_price="0.20")
    page.select_option("#market", "lab")
    for limit in ("0.21", "0.22"):
        page.locator("#go:enabled").wait_for()
        page.fill("#limit_price", limit)
        page.locator("#go:disabled").wait_for()
    page.locator("#go:enabled").wait_for()
    sent: list[str] = []
    page.on("request", lambda it: sent.append(it.post_data or "") if it.method == "POST" else None)
    page.click("#go")
    page.wait_for_url("**/workloads/w*")
    assert len([each for each in sent if "do=submit" in each]) == 1
