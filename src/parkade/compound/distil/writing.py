"""Examples into a file: JSON lines, or Parquet where pyarrow is installed.

A file is written beside its place and renamed when it is whole, so that a reader never sees half.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from parkade.extras import install

ROWS = 10_000
ENDINGS = (".jsonl", ".parquet")


class WritingError(RuntimeError):
    """The file cannot be written as asked; the message says what to do."""


def write(path: Path, examples: Iterable[dict[str, Any]]) -> None:
    """To `path`, as its ending says: Parquet, or JSON lines. WritingError on another ending."""
    if path.suffix not in ENDINGS:
        raise WritingError(
            f"{path}: write {' or '.join(ENDINGS)}, not {path.suffix or 'no ending'}"
        )
    beside = path.with_name(path.name + ".new")
    try:
        if path.suffix == ".parquet":
            _parquet(beside, examples)
        else:
            _json_lines(beside, examples)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _json_lines(path: Path, examples: Iterable[dict[str, Any]]) -> None:
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for example in examples:
            file.write(encoder.encode(example) + b"\n")


def _parquet(path: Path, examples: Iterable[dict[str, Any]]) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise WritingError(
            f"Parquet needs pyarrow: {install('sim')}, or pip install pyarrow; or write .jsonl"
        ) from None
    writer = None
    rows: list[dict[str, Any]] = []
    try:
        for example in examples:
            rows.append(example)
            if len(rows) == ROWS:
                writer = _flush(parquet, pa, path, writer, rows)
        if rows or writer is None:
            writer = _flush(parquet, pa, path, writer, rows)
    finally:
        if writer is not None:
            writer.close()


def _flush(parquet: Any, pa: Any, path: Path, writer: Any, rows: list[dict[str, Any]]) -> Any:
    table = pa.Table.from_pylist(rows, schema=None if writer is None else writer.schema)
    rows.clear()
    writer = writer or parquet.ParquetWriter(path, table.schema)
    writer.write_table(table)
    return writer
