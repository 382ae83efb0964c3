"""Messages in Prometheus' words: sent, failed, given up, since the start of the process."""

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from parkade.service.telling import Telling


class MessageCollector(Collector):
    """The series are there at 0 also where nothing is told."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling

    def collect(self) -> list[Metric]:
        """One family for each number."""
        queue = self._telling.queue
        sent, failed, given_up = (
            (0, 0, 0) if queue is None else (queue.sent, queue.failed, queue.given_up)
        )
        return [
            CounterMetricFamily("parkade_messages_sent", "Messages that were heard", sent),
            CounterMetricFamily("parkade_message_failures", "Tries that failed", failed),
            CounterMetricFamily("parkade_messages_given_up", "Messages given up", given_up),
        ]
