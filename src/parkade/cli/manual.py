"""Manual pages for `man`, made of what `--help` says, so that both say the same.

Each command has a page of its own, `parkade-submit.1`, a group one that lists its commands. What
stands in the help is text: a backslash, a dash or a point at the begin of a line means nothing to
roff. Commands are Typer's, which brings a Click of its own; they are known by what they have.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from parkade import __version__

SECTION = 1
# What help texts mark as code or bold, for other readers than man.
_MARK = re.compile(r"`([^`]*)`|\*\*([^*]*)\*\*")


class Page(NamedTuple):
    """A page: `parkade-token-create` and its roff text."""

    name: str
    text: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.{SECTION}"


def pages(command: Any, *, name: str = "parkade") -> Iterator[Page]:
    """The pages of a program and of all its commands, but for hidden ones."""
    context = command.context_class(command, info_name=name.replace("-", " "))
    inner = _commands(command, context)
    yield Page(name, _page(command, context, name, inner))
    for word, each in inner:
        yield from pages(each, name=f"{name}-{word}")


def write(command: Any, folder: Path) -> list[Path]:
    """Writes each page into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for page in pages(command):
        path = folder / page.file
        path.write_text(page.text, "utf-8")
        made.append(path)
    return made


def _commands(command: Any, context: Any) -> list[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        return []
    found = ((word, command.get_command(context, word)) for word in command.list_commands(context))
    return [(word, each) for word, each in found if each is not None and not each.hidden]


def _page(
    command: Any,
    context: Any,
    name: str,
    inner: list[tuple[str, Any]],
) -> str:
    says = _plain(command.help or command.short_help or "")
    first, _, rest = says.partition("\n\n")
    line = " ".join(first.split())
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f'.TH {_quoted(name.upper())} {SECTION} "" {_quoted(f"Parkade {__version__}")} "Parkade"',
        ".SH NAME",
        f"{text(name)} \\- {text(line.rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {text(name.replace('-', ' '))}",
        text(usage),
        ".SH DESCRIPTION",
        text(line),
        *(f".PP\n{text(' '.join(each.split()))}" for each in rest.split("\n\n") if each.strip()),
    ]
    parts += _parameters(command, context)
    if inner:
        parts.append(".SH COMMANDS")
        for word, each in inner:
            short = _plain(each.get_short_help_str(limit=500))
            parts.append(f".TP\n.BR {text(f'{name}-{word}')} ({SECTION})\n{text(short)}")
    if command.epilog:
        parts += [".SH EXIT STATUS", text(" ".join(_plain(command.epilog).split()))]
    parent, _, _ = name.rpartition("-")
    if parent:
        parts += [".SH SEE ALSO", f".BR {text(parent)} ({SECTION})"]
    return "\n".join(parts) + "\n"


def _parameters(command: Any, context: Any) -> list[str]:
    found: dict[str, list[str]] = {"argument": [], "option": []}
    for parameter in command.get_params(context):
        record = None if parameter.hidden else parameter.get_help_record(context)
        if record is not None:
            says = " ".join(_plain(record[1]).split()) or "See the description."
            entry = f".TP\n\\fB{text(record[0])}\\fR\n{text(says)}"
            found[parameter.param_type_name].append(entry)
    return [
        *([".SH ARGUMENTS", *found["argument"]] if found["argument"] else []),
        *([".SH OPTIONS", *found["option"]] if found["option"] else []),
    ]


def _plain(says: str) -> str:
    return _MARK.sub(lambda found: found[1] or found[2], says)


def text(says: str) -> str:
    """What roff prints as it stands here."""
    escaped = says.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{it}" if it[:1] in (".", "'") else it for it in escaped.split("\n"))


def _quoted(says: str) -> str:
    return f'"{text(says).replace(chr(34), "")}"'
