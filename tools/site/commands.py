"""A page for each command, of what `--help` says: `commands/parkade-submit.md`; a group's commands
are sections of its page.

Help texts are Markdown's code and bold marks and plain text otherwise; what else Markdown would
read in them is escaped.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from parkade.cli.app import app

_CODE = re.compile(r"(`[^`]*`|\*\*[^*]*\*\*)")
_SPECIAL = re.compile(r"([\\*_\[\]<>{}|#$~])")


def write(folder: Path) -> None:
    """Writes a page for each command that help shows, with the commands below it."""
    folder.mkdir(parents=True)
    program = get_command(app)
    shown = _shown(program, _context_of(program, "parkade"))
    pages = {"parkade": _top(program, shown)}
    pages |= {
        f"parkade-{word}": "\n".join(_parts(each, f"parkade {word}", 1)) for word, each in shown
    }
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text + "\n", "utf-8")


def _context_of(command: Any, name: str) -> Any:
    return command.context_class(command, info_name=name)


def _shown(command: Any, context: Any) -> list[tuple[str, Any]]:
    words = command.list_commands(context) if hasattr(command, "list_commands") else []
    inner = ((word, command.get_command(context, word)) for word in words)
    return [(word, each) for word, each in inner if each is not None and not each.hidden]


def _top(program: Any, shown: list[tuple[str, Any]]) -> str:
    rows = [
        f"| [`{word}`](parkade-{word}.md) | {_prose(each.get_short_help_str(limit=500))} |"
        for word, each in shown
    ]
    pages = "\n".join(f"parkade-{word}" for word, _ in shown)
    return "\n".join(
        [
            *_parts(program, "parkade", 1, has_inner=False),
            "## Commands\n\n| | |\n|---|---|",
            *rows,
            f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```",
        ]
    )


def _parts(command: Any, name: str, level: int, *, has_inner: bool = True) -> Iterator[str]:
    """A command and all below it, a section each."""
    context = _context_of(command, name)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"{'#' * level} {name}\n\n{_prose(command.help or '')}\n"
    yield f"```\n{name} {usage}\n```\n"
    for kind in ("argument", "option"):
        records = (
            parameter.get_help_record(context)
            for parameter in command.get_params(context)
            if parameter.param_type_name == kind and not parameter.hidden
        )
        rows = [
            f"| {_code(record[0])} | {_prose(' '.join(record[1].split()))} |"
            for record in records
            if record is not None and record[0] != "--help"
        ]
        if rows:
            yield "\n".join([f"| {kind} | |", "|---|---|", *rows]) + "\n"
    if command.epilog:
        yield _prose(command.epilog) + "\n"
    for word, each in _shown(command, context) if has_inner else ():
        yield from _parts(each, f"{name} {word}", level + 1)


def _code(words: str) -> str:
    return "`" + words.replace("|", "\\|").replace("`", "'") + "`"


def _prose(says: str) -> str:
    """Text in which only code and bold mean something."""
    pieces = _CODE.split(says)
    return "".join(
        piece.replace("|", "\\|") if index % 2 else _SPECIAL.sub(r"\\\1", piece)
        for index, piece in enumerate(pieces)
    )
