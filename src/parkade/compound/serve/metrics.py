"""What a served network tells Prometheus: names and labels are kept for ever.

Counters of requests begin anew with each start; what was spent is that of the whole folder, as the
budget is.
"""

from collections import Counter

from parkade.compound.run.budget import Account

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
#: The status of a request whose client went away before its answer.
GONE = 499


def as_metrics(account: Account, requests: Counter[int], open_questions: int) -> str:
    """The page `/metrics`."""
    spent, doubtful, budget = account.spent, account.doubtful, account.budget
    lines: list[str] = []

    def add(name: str, kind: str, says: str, *values: tuple[str, int]) -> None:
        name = f"parkade_network_{name}"
        lines.extend((f"# HELP {name} {says}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{labels} {value}" for labels, value in values)

    by_status = [(f'{{status="{status}"}}', count) for status, count in sorted(requests.items())]
    add("requests_total", "counter", "Requests for an answer, by status.", *by_status)
    add("open_questions", "gauge", "Questions in work.", ("", open_questions))
    add("calls_total", "counter", "Calls with an answer.", ("", spent.calls))
    add("tokens_total", "counter", "Tokens of these calls.", ("", spent.tokens))
    add("spent_micros_total", "counter", "Money for these calls.", ("", spent.micros))
    add("doubtful_calls_total", "counter", "Calls without an answer.", ("", doubtful.calls))
    add("doubtful_micros_total", "counter", "What they may be billed.", ("", doubtful.micros))
    used = spent + doubtful + account.reserved
    for name, most, gone in (
        ("micros", budget.micros, used.micros),
        ("tokens", budget.tokens, used.tokens),
        ("calls", budget.calls, used.calls),
    ):
        if most is not None:
            left = ("", max(0, most - gone))
            add(f"budget_left_{name}", "gauge", f"What is left of the budget in {name}.", left)
    return "\n".join(lines) + "\n"
