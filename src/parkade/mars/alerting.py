"""Alerts to Alertmanager's v2 API: one alert for each standing verdict from *warn* on.

An alert is told again with each round, its end a few rounds ahead, so that it resolves by itself
where Mars falls silent; what is over is told with its end now. Labels name the alert and stay the
same while it stands; what changes is in annotations. A failed round is told again by the next one.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from parkade.core.healing.incident import Incident
from parkade.core.healing.verdict import Level, Verdict
from parkade.core.units.time import SECOND_US

ALERT_NAME = "ParkadeMarsVerdict"
INCIDENT_NAME = "ParkadeIncident"
TIMEOUT_S = 10.0
ROUNDS_AHEAD = 4
MOST_A_CALL = 500


class AlertError(Exception):
    """Alertmanager did not take the alerts; the message says why."""


def alert_of(verdict: Verdict, *, ends_us: int, held: str | None) -> dict[str, object]:
    """The alert of a verdict, as Alertmanager's API wants it."""
    severity = "critical" if verdict.level is Level.FATAL else "warning"
    return {
        "labels": {
            "alertname": ALERT_NAME,
            "severity": severity,
            "node": verdict.node,
            "device": verdict.device or "",
            "signal": verdict.signal,
        },
        "annotations": {
            "summary": f"{verdict.node}: {verdict.level.value} {verdict.signal}",
            "description": "; ".join(reason.rstrip(".") for reason in verdict.reasons),
            "level": verdict.level.value,
            "action": verdict.action.value,
            "held": held or "",
            "verdict": verdict.verdict,
            "evidence": verdict.evidence[0].line if verdict.evidence else "",
            "policy": verdict.policy,
            "runbook": f"parkade mars explain {verdict.signal}",
        },
        # A clock that was set back would have it begin after its end, which no receiver takes.
        "startsAt": _instant(min(verdict.since_us, ends_us)),
        "endsAt": _instant(ends_us),
    }


def incident_alert(incident: Incident, *, ends_us: int) -> dict[str, object]:
    """The alert of an open incident; its labels stay while it is open."""
    severity = "critical" if incident.level is Level.FATAL else "warning"
    last = incident.verdicts[-1] if incident.verdicts else None
    return {
        "labels": {
            "alertname": INCIDENT_NAME,
            "severity": severity,
            "node": incident.node,
            "pool": incident.pool,
            "fabric": f"{incident.market}/{incident.fabric}",
            "incident": incident.incident,
        },
        "annotations": {
            "summary": f"{incident.node}: {incident.level.value} {incident.signal}",
            "action": incident.action.value,
            "device": incident.device or "",
            "next": incident.next.value,
            "held": "" if incident.held is None else incident.held.value,
            "evidence": last.evidence[0].line if last is not None and last.evidence else "",
            "runbook": f"parkade mars incidents {incident.incident}",
        },
        "startsAt": _instant(min(incident.opened_us, ends_us)),
        "endsAt": _instant(ends_us),
    }


def post_alerts(
    url: str,
    alerts: Iterable[dict[str, object]],
    *,
    timeout_s: float = TIMEOUT_S,
    is_probe: bool = False,
) -> None:
    """Sends alerts; they may be sent again without harm. `timeout_s` is for all of them together,
    so that an answer that drips holds nothing up. `is_probe`: without an alert an empty list is
    sent, which tells whether they would be taken. Raises AlertError. Not for an event loop."""
    import httpx  # here, since it is a sixth of the memory of a `mars run` that posts nothing

    waiting = list(alerts)
    try:
        parts = [waiting[at : at + MOST_A_CALL] for at in range(0, len(waiting), MOST_A_CALL)]
        parts = parts or [[]] * is_probe
        asyncio.run(_post_all(f"{url.rstrip('/')}/api/v2/alerts", parts, timeout_s))
    except TimeoutError as error:
        raise AlertError(f"{address_of(url)}: no answer within {timeout_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        says = str(error).replace(url, address_of(url))
        raise AlertError(f"{address_of(url)}: {type(error).__name__}: {says}") from error


def address_of(url: str) -> str:
    """The URL without a user and a password."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


async def _post_all(url: str, parts: list[list[dict[str, object]]], timeout_s: float) -> None:
    """What is answered beside the status is not read."""
    import httpx

    async with asyncio.timeout(timeout_s), httpx.AsyncClient(timeout=None) as client:
        for part in parts:
            async with client.stream("POST", url, json=part) as answer:
                answer.raise_for_status()


def _instant(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / SECOND_US, UTC).isoformat()
