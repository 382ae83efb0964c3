"""What `run`, `wait` and `logs -f` do while the server is away, as at a restart."""

from collections.abc import Iterator

import httpx
import pytest

from parkade.cli.following import follow_output
from parkade.client import Client, Unreachable
from parkade.client.waiting import OUTAGE_S
from parkade.wire.workloads import Workload
from tests.api.town import Town


class Away:
    """A server whose answers about w1 are those of a list, `None`: it does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Workload | bytes | None) -> None:
        self.answers: Iterator[Workload | bytes | None] = iter(answers)
        self.offsets: list[str] = []
        self.now_s = 0.0
        monkeypatch.setattr("time.sleep", self.pass_time)
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    def serve(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            self.offsets.append(request.url.params["offset"])
        match next(self.answers):
            case None:
                raise httpx.ConnectError("refused")
            case bytes() as body:
                return httpx.Response(200, content=body)
            case answer:
                return httpx.Response(200, content=answer.model_dump_json())

    def client(self) -> Client:
        return Client("http://there", token="t", transport=httpx.MockTransport(self.serve))


@pytest.fixture
def living(town: Town) -> Workload:
    """A workload that waits."""
    pool, (_, owner) = town.pool(), town.org()
    with Client(town.url, token=owner) as client:
        return client.get_workload(town.submit(pool, owner, limit_price="0.01"))


def ended(living: Workload) -> Workload:
    changes = {"phase": "failed", "attempts": 1, "exit_code": 5, "ended": living.submitted}
    return living.model_copy(update=changes)


def test_a_wait_goes_on_where_the_server_is_started_anew(
    living: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [None] * 17
    away = Away(monkeypatch, living, *gone, living, *gone, ended(living))
    with away.client() as client:
        assert client.wait("w1").exit_code == 5


def test_output_goes_on_and_is_printed_once_where_the_server_is_started_anew(
    living: Workload, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    gone = [None] * 17
    away = Away(monkeypatch, living, *gone, ended(living), b"one ", *gone, ended(living))
    with away.client() as client:
        assert follow_output(client, "w1").exit_code == 5
    assert capfdbinary.readouterr().out == b"one "


def test_a_server_that_stays_away_ends_a_wait_after_ten_minutes(
    living: Workload, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    away = Away(monkeypatch, *([None] * 10_000))
    with away.client() as client, pytest.raises(Unreachable):
        client.wait("w1")
    assert OUTAGE_S < away.now_s < 2 * OUTAGE_S
    with away.client() as client, pytest.raises(Unreachable):
        follow_output(client, "w1")
    assert "later: parkade logs -f w1" in capsys.readouterr().err
