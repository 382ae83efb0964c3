"""What `parkade mars run` serves before anything happened."""

from prometheus_client import generate_latest

from parkade.core.healing.guards import HoldReason, Rejected
from parkade.core.healing.verdict import Level
from parkade.mars.metrics import Metrics
from parkade.ports import NO_BACKLOG, Backlog
from parkade.sensors.gaps import Gap


def test_every_counter_is_there_before_its_first_count() -> None:
    """Otherwise `increase` misses the first of each kind, and a rule on it cannot be asked."""
    page = generate_latest(Metrics(policy="p 1", acts=False).registry).decode()
    wanted = (
        *(("verdicts", "level", level) for level in Level),
        *(("symptoms_rejected", "reason", reason) for reason in Rejected),
        *(("actions_held", "reason", reason) for reason in HoldReason),
        *(("drains", "result", result) for result in ("done", "refused", "failed")),
        *(("alert_rounds", "result", result) for result in ("sent", "failed")),
    )
    for name, label, value in wanted:
        assert f'parkade_mars_{name}_total{{{label}="{value}"}} 0.0' in page, (name, value)


def test_of_nodes_that_share_a_log_the_one_that_is_most_behind_is_shown() -> None:
    metrics = Metrics(policy="site", acts=False)
    metrics.backlogs([("/a", Backlog(3, 1.0)), ("/a", Backlog(9, 4.0)), ("/b", NO_BACKLOG)])
    text = generate_latest(metrics.registry).decode()
    for row in (
        'parkade_mars_log_unread_bytes{log="/a"} 9.0',
        'parkade_mars_log_behind_seconds{log="/a"} 4.0',
        'parkade_mars_log_unread_bytes{log="/b"} 0.0',
    ):
        assert row in text


def test_spans_that_may_have_been_missed_are_counted_with_their_begin_and_end() -> None:
    metrics = Metrics(policy="site", acts=False)
    metrics.followed("/b")
    metrics.missed(Gap("/a", "it was cut", 100, 200, 1, 1))
    metrics.missed(Gap("/a", "it was cut", 300, 400, 3, 2))
    metrics.missed(Gap("ring of n1", "it ran over", 0, 500, 1, 1))
    text = generate_latest(metrics.registry).decode()
    for row in (
        'parkade_mars_log_gaps_total{log="/a"} 3.0',
        'parkade_mars_log_gap_start_timestamp_seconds{log="/a"} 300.0',
        'parkade_mars_log_gap_end_timestamp_seconds{log="/a"} 400.0',
        'parkade_mars_log_gap_end_timestamp_seconds{log="ring of n1"} 500.0',
        'parkade_mars_log_gaps_total{log="/b"} 0.0',
        'parkade_mars_log_gap_end_timestamp_seconds{log="/b"} 0.0',
    ):
        assert row in text, row
    assert 'start_timestamp_seconds{log="ring' not in text, "it is not known"
