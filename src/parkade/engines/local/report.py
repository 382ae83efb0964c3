"""Reads a program's checkpoint report, `.parkade.json`.

It says {"step": 1200, "at": "2026-01-01T00:00:00Z"}, the instant as RFC 3339 with its zone. The
folder is the user's: links are not followed, size is bounded, bad content is no report.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from parkade.engines.local import records
from parkade.ports import Checkpoint

NAME = ".parkade.json"
MOST_BYTES = 64 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Report(msgspec.Struct, frozen=True):
    step: Whole
    at: Moment


def read(checkpoint_dir: Path) -> Checkpoint | None:
    """The checkpoint reported last, or None where there is none that can be understood."""
    content = records.read_bounded(checkpoint_dir / NAME, most_bytes=MOST_BYTES)
    if content is None:
        return None
    try:
        report = msgspec.json.decode(content, type=_Report)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Whatever a user may write, it is no report: also bad UTF-8, also brackets without end.
        return None
    at_us = (report.at - EPOCH) // timedelta(microseconds=1)
    return Checkpoint(step=report.step, at_us=at_us) if at_us >= 0 else None


def moment(at_us: int) -> str:
    """The instant as RFC 3339 in UTC."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")
