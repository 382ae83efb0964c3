"""How levels and evidence look."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parkade.core.healing.symptom import Evidence

LEVEL_STYLES = {"info": "dim", "warn": "yellow", "degraded": "dark_orange", "fatal": "bold red"}


def evidence_line(evidence: "Evidence") -> str:
    """Where a line was seen, and the line."""
    from parkade.mars.plain_lines import plain_line

    return f"{evidence.source.value}: {plain_line(evidence.line)}"
