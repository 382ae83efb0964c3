"""Alerts to an Alertmanager that misbehaves: bounded as a whole."""

import pytest

from parkade.mars.alerting import MOST_A_CALL, AlertError, post_alerts
from tests.messages.test_queue import dripping


def test_an_alertmanager_that_drips_its_header_is_given_up_after_one_time_out_for_all() -> None:
    alerts: list[dict[str, object]] = [{"labels": {}}] * (3 * MOST_A_CALL)
    with (
        dripping(b"HTTP/1.1 200 OK\r\nX-Long: ") as port,
        pytest.raises(AlertError, match=r"no answer within 0\.3 s"),
    ):
        post_alerts(f"http://127.0.0.1:{port}", alerts, timeout_s=0.3)


def test_a_status_is_enough_of_an_answer() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n") as port:
        post_alerts(f"http://127.0.0.1:{port}", [{"labels": {}}], timeout_s=30)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no url", "http://[bad"])
def test_what_cannot_be_reached_is_said(url: str) -> None:
    with pytest.raises(AlertError):
        post_alerts(url, [{"labels": {}}], timeout_s=30)


def test_no_error_shows_the_password_of_the_url() -> None:
    with pytest.raises(AlertError) as failed:
        post_alerts("http://user:secret-7@127.0.0.1:1", [{"labels": {}}], timeout_s=30)
    assert "secret-7" not in str(failed.value)
    assert "127.0.0.1:1" in str(failed.value)
