"""Draws the keys of the file of `parkade mars run` from its model: `python -m
tests.docs.mars_run_file` writes them into docs/mars/alone.md."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from parkade.mars.run_file import DrainEntry, EngineEntry, NodeEntry, RunFile
from parkade.wire.scalars import format_span

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mars" / "alone.md"
BEGIN = "<!-- Drawn from the model by `python -m tests.docs.mars_run_file`. -->"
END = "<!-- End of what is drawn. -->"
MODELS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("", RunFile),
    ("nodes[].", NodeEntry),
    ("engine.", EngineEntry),
    ("drain.", DrainEntry),
)


def draw() -> str:
    """The table."""
    return "\n".join([BEGIN, "", *keys_of(MODELS), "", END])


def keys_of(models: Iterable[tuple[str, type[BaseModel]]]) -> list[str]:
    """The lines of a table of every key of a file, each model behind its prefix."""
    rows = [
        _row(prefix, field.alias or name, field)
        for prefix, model in models
        for name, field in model.model_fields.items()
    ]
    return ["| key | default | meaning |", "|---|---|---|", *rows]


def with_table(page: str) -> str:
    """The page with the table of today."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{draw()}{after}"


def _row(prefix: str, name: str, field: FieldInfo) -> str:
    assert field.description, f"{prefix}{name} is not described"
    text = field.description.replace("|", "\\|")
    return f"| `{prefix}{name}` | {_default(field)} | {text} |"


def _default(field: FieldInfo) -> str:
    match field.default:
        case _ if field.is_required():
            return "needed"
        case None | () | {} | BaseModel():
            return ""
        case bool() as given:
            return f"`{str(given).lower()}`"
        case timedelta() as span:
            return f"`{format_span(span)}`"
        case tuple() as words:
            shown = " ".join(words).replace("|", "\\|")
            return f"`{shown}`"
        case given:
            return f"`{given}`"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), encoding="utf-8")
