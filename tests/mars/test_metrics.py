"""What `parkade mars run` serves before anything happened."""

from prometheus_client import generate_latest

from parkade.core.healing.guards import HoldReason, Rejected
from parkade.core.healing.verdict import Level
from parkade.mars.metrics import Metrics


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
