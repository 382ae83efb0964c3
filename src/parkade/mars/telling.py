"""Sends alerts beside the loop: one call at a time, the newest state of what stands.

While a call is under way nothing queues but what is to be sent next: a later round takes the place
of an earlier one that was not begun, since it tells all that stands. What is over is told once, so
it is kept until a call with it was taken; at most `MOST_OVER` of these wait. An address that does
not answer is told when that begins, and when it ends.
"""

from collections.abc import Callable, Sequence

import structlog

from parkade.mars.alerting import AlertError, address_of, post_alerts
from parkade.mars.aside import Aside
from parkade.mars.metrics import Metrics

MOST_OVER = 10_000
Alert = dict[str, object]
Post = Callable[[str, list[Alert]], None]


def _post(url: str, alerts: list[Alert]) -> None:
    post_alerts(url, alerts, is_probe=True)


class AlertTelling:
    """See the module. A round without an alert is sent too, and shows whether alerts are taken."""

    def __init__(self, url: str, metrics: Metrics, *, post: Post = _post) -> None:
        self._url = url
        self._metrics = metrics
        self._post = post
        self._log = structlog.get_logger("parkade.mars")
        self._answers = True
        self._standing: list[Alert] | None = None
        self._over: list[Alert] = []
        self._under_way: tuple[Aside[None], list[Alert]] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a call is."""
        return self._under_way is not None

    def tell(self, standing: Sequence[Alert], over: Sequence[Alert]) -> None:
        """What stands now, and what is over since the last call."""
        self._standing = list(standing)
        self._over = [*self._over, *over][-MOST_OVER:]
        self.go_on()

    def go_on(self) -> None:
        """Takes the answer of the call under way, if there is one, and begins the next."""
        self._take()
        if self._under_way is None and self._standing is not None:
            alerts = [*self._over, *self._standing]
            self._standing = None
            call = Aside[None](lambda: self._post(self._url, alerts))
            self._under_way, self._over = (call, self._over), []
            call.start()

    def finish(self) -> None:
        """Until everything was sent, or failed to be."""
        self.go_on()
        while self._under_way is not None:
            self._under_way[0].wait()
            self.go_on()

    def close(self) -> None:
        """Waits for the call under way, which is bounded, and sends nothing more."""
        self._standing = None
        self.finish()

    def _take(self) -> None:
        if self._under_way is None or not self._under_way[0].is_done:
            return
        (call, sent), self._under_way = self._under_way, None
        address = address_of(self._url)
        try:
            call.take()
        except AlertError as error:
            self._metrics.alerts.labels("failed").inc()
            self._metrics.alertmanager_up.labels(address).set(0)
            if self._answers:
                self._log.warning("Alertmanager does not take alerts", why=str(error))
            self._answers = False
            self._over = [*sent, *self._over][-MOST_OVER:]
            return
        self._metrics.alerts.labels("sent").inc()
        self._metrics.alertmanager_up.labels(address).set(1)
        if not self._answers:
            self._log.info("Alertmanager takes alerts again", address=address)
        self._answers = True
