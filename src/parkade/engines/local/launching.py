"""What holds of a launch for every engine: which wish is the same, and which reader may mean it."""

from parkade.engines.local.records import Launch
from parkade.ports import Conflict, DesiredAttempt, ExecRequest, LogRequest

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def check_same(known: DesiredAttempt, wanted: DesiredAttempt) -> None:
    """Raises Conflict where they are not one launch."""
    for key in ("attempt", "workload", "org", "generation", "ranks", "ordered_us"):
        was, now = getattr(known, key), getattr(wanted, key)
        if key == "ranks" and wanted.is_live:
            # They change while it runs.
            continue
        if key == "ordered_us" and was is None:
            # Launched by a version that did not keep it.
            continue
        if was != now:
            raise Conflict(f"attempt {wanted.attempt} is known with {key} {was!r}, not {now!r}")


def is_meant(launch: Launch, request: LogRequest | ExecRequest) -> bool:
    """Whether a reader of this org, who knows it since that date, may mean this launch."""
    ordered_us, since_us = launch.attempt.ordered_us, request.since_us
    is_too_old = ordered_us is not None and since_us is not None and ordered_us < since_us
    return request.org in (None, launch.attempt.org) and not is_too_old
