"""CSV as RFC 4180 has it, of every answer that has it: lines end with CR and LF.

Nothing stands for null. A cell has no control character of a user, so that a terminal may show it;
the ends of lines are the format's own, and the text is written as bytes.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from parkade.core.units.visible import visible


def csv_head(columns: Sequence[str]) -> str:
    """The line of names."""
    return csv_lines(columns, [{name: name for name in columns}])


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """A line a row, of these columns alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
    return text.getvalue()


def _cell(value: object) -> object:
    return visible(value) if isinstance(value, str) else value
