"""Alerts beside the loop: an Alertmanager that hangs or is down holds nothing up, and is told."""

import threading
from pathlib import Path

import pytest

from parkade.mars.alerting import AlertError
from parkade.mars.metrics import Metrics
from parkade.mars.telling import MOST_OVER, Alert, AlertTelling
from tests.mars.scene import Scene, shown
from tests.waits import until

URL = "http://ann:secret@127.0.0.1:9093"


class Manager:
    """An Alertmanager that keeps what it is sent, or does not answer."""

    def __init__(self) -> None:
        self.sent: list[list[Alert]] = []
        self.is_down = False
        self.may_answer = threading.Event()
        self.may_answer.set()

    def post(self, url: str, alerts: list[Alert]) -> None:
        assert self.may_answer.wait(120)
        if self.is_down:
            raise AlertError(f"{url}: refused")
        self.sent.append(alerts)


def alert(name: str) -> Alert:
    return {"labels": {"alertname": name}}


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(policy="p", acts=False)


@pytest.fixture
def telling(manager: Manager, metrics: Metrics) -> AlertTelling:
    return AlertTelling(URL, metrics, post=manager.post)


def test_its_end_and_its_return_are_told_once_each(
    telling: AlertTelling, manager: Manager, capfd: pytest.CaptureFixture[str]
) -> None:
    for manager.is_down in (True, True, True, False, False, True):
        telling.tell([], [])
        telling.finish()
    told = capfd.readouterr().err.splitlines()
    assert ["again" in line for line in told] == [False, True, False]
    assert manager.sent == [[], []], "a round without alerts is a probe"


def test_while_a_call_hangs_only_the_newest_round_waits(
    telling: AlertTelling, manager: Manager
) -> None:
    manager.may_answer.clear()
    for number in range(5):
        telling.tell([alert(f"a{number}")], [])
    manager.may_answer.set()
    telling.finish()
    assert manager.sent == [[alert("a0")], [alert("a4")]]


def test_what_is_over_is_sent_until_it_was_taken(telling: AlertTelling, manager: Manager) -> None:
    manager.is_down = True
    telling.tell([], [alert("over")])
    telling.finish()
    manager.is_down = False
    telling.tell([alert("on")], [])
    telling.finish()
    telling.tell([], [])
    telling.finish()
    assert manager.sent == [[alert("over"), alert("on")], []]


def test_what_is_over_while_a_call_hangs_is_told_however_much_was_over_before(
    telling: AlertTelling, manager: Manager
) -> None:
    manager.may_answer.clear()
    telling.tell([], [alert(f"early{number}") for number in range(MOST_OVER)])
    telling.tell([], [alert(f"late{number}") for number in range(5)])
    manager.may_answer.set()
    telling.finish()
    taken = [each for round_ in manager.sent for each in round_]
    assert taken[-5:] == [alert(f"late{number}") for number in range(5)]
    assert len(taken) == MOST_OVER + 5, "each is told once"


def test_the_end_waits_for_the_call_under_way_and_sends_no_more(
    telling: AlertTelling, manager: Manager
) -> None:
    manager.may_answer.clear()
    telling.tell([alert("first")], [])
    telling.tell([alert("second")], [])
    threading.Timer(0.2, manager.may_answer.set).start()
    telling.close()
    assert manager.sent == [[alert("first")]]


def test_a_run_asks_for_its_alertmanager_at_its_start(
    scene: Scene, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = scene.file(act=False).model_copy(update={"alertmanager": "http://127.0.0.1:1"})
    runner = scene.runner(file)
    for _ in range(3):
        runner.round()
    assert capfd.readouterr().err.count("Alertmanager does not take alerts") == 1
    assert shown(runner)['parkade_mars_alertmanager_up{address="http://127.0.0.1:1"}'] == 0


def test_an_alertmanager_that_hangs_delays_no_look_at_logs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        is_asked.set()
        assert may_answer.wait(120)

    monkeypatch.setattr("parkade.mars.telling.post_alerts", hang)
    file = scene.file(act=False).model_copy(update={"alertmanager": URL})
    with scene.looping(file) as runner:
        assert is_asked.wait(120)
        scene.write("n0")
        until(lambda: any("xid/79" in name for name in shown(runner)))
        may_answer.set()
