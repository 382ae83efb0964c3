"""Tables from files: CSV by the standard library, Parquet where pyarrow is installed.

A table is its columns by name. What is missing or unreadable is refused with file and column.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parkade.extras import install

MOST_ROWS = 50_000_000


class BadData(ValueError):
    """A file of data cannot be used; the message says which, where and why."""


def read_columns(file: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """These columns of a `.csv` or `.parquet` file, each as long as the table.

    Values of CSV are text; those of Parquet what its types say.
    """
    if not file.is_file():
        raise BadData(f"{file} is no file; --data names the folder with the data")
    try:
        if file.suffix == ".parquet":
            return _parquet(file, names)
        if file.suffix == ".csv":
            return _csv(file, names)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{file.name} cannot be read: {error}") from None
    raise BadData(f"{file.name} is neither .csv nor .parquet")


def _csv(file: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    with file.open(encoding="utf-8", newline="") as handle:
        rows = csv.reader(handle)
        header = next(rows, [])
        places = [_place(file, header, name) for name in names]
        columns: list[list[Any]] = [[] for _ in names]
        for row in rows:
            if len(row) != len(header):
                raise BadData(
                    f"{file.name}, line {rows.line_num}: {len(row)} values, not {len(header)}"
                )
            for column, place in zip(columns, places, strict=True):
                column.append(row[place])
            if len(columns[0]) > MOST_ROWS:
                raise BadData(f"{file.name} has more than {MOST_ROWS:,} rows")
    return dict(zip(names, columns, strict=True))


def _parquet(file: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise BadData(
            f"{file.name}: Parquet needs pyarrow: {install('sim')}; or give a .csv"
        ) from None
    try:
        header = parquet.read_schema(file).names
        for name in names:
            _place(file, header, name)
        rows = parquet.read_metadata(file).num_rows
        if rows > MOST_ROWS:
            raise BadData(f"{file.name} has {rows:,} rows; at most {MOST_ROWS:,} are read")
        table = parquet.read_table(file, columns=list(names))
    except pa.ArrowException as error:
        raise BadData(f"{file.name} cannot be read: {error}") from None
    return {name: table[name].to_pylist() for name in names}


def _place(file: Path, header: Sequence[str], name: str) -> int:
    if name not in header:
        raise BadData(f"{file.name} has no column {name!r}; it has {', '.join(header[:20])}")
    return header.index(name)
