"""The documents and what is in them: commands with what they print, files, links.

A ```console block is a story: `$ ` opens a command, a line that ends in a backslash goes on, what
follows is what it prints, and `…` stands for any text, alone on a line for any lines. A ```sh block
is commands alone. A comment before a block says what else it is:

    <!-- file: NAME -->        the block is written to this file and is no command
    <!-- run: server -->       goes on until the document ends, or is interrupted
    <!-- run: follow -->       is interrupted once it has printed what the block shows
    <!-- run: restart -->      the server is interrupted first; then as `server`
    <!-- run: elsewhere -->    `make` targets and what makes the clone; only their names are checked
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RULES = ("server", "follow", "restart", "elsewhere")
_BLOCK = re.compile(
    r"(?:^<!-- (?P<word>file|run): (?P<rest>[^\n]+?) -->\n)?"
    r"^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"(?<!\\)\[[^\]\n]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command with what it prints, or a file; `rule` is how the command is run."""

    text: str
    printed: tuple[str, ...] | None
    rule: str | None = None
    file: str | None = None


def documents() -> tuple[Path, ...]:
    """README and every page of docs/."""
    return (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def steps(document: Path) -> list[Step]:
    """Everything in a document that is done, in order."""
    found = []
    for block in _BLOCK.finditer(document.read_text("utf-8")):
        word, rest, text = block["word"], block["rest"], block["text"]
        if word == "file":
            found.append(Step(text=text, printed=None, file=rest))
        elif block["language"] in ("console", "sh"):
            rule = rest if word == "run" else None
            assert rule is None or rule in RULES, f"{document.name}: no rule {rule}"
            is_story = block["language"] == "console"
            found += _commands(text, rule) if is_story else _lines(text, rule)
    return found


def _commands(text: str, rule: str | None) -> list[Step]:
    assert text.startswith("$ "), f"a console block opens with a command: {text[:40]!r}"
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.rstrip("\n").split("\n")
        last = next(at for at, line in enumerate(lines) if not line.endswith("\\"))
        command, printed = lines[: last + 1], lines[last + 1 :]
        found.append(Step(text="\n".join(command), printed=tuple(printed), rule=rule))
    return found


def _lines(text: str, rule: str | None) -> list[Step]:
    lines = text.replace("\\\n", "").splitlines()
    return [Step(text=line, printed=None, rule=rule) for line in lines if line.strip()]


def links(document: Path) -> list[str]:
    """Where a document points, outside its blocks of code."""
    prose = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.M | re.S)
    return [found[1] or found[2] for found in _LINK.finditer(prose)]


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as they are made from their words."""
    prose = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.M | re.S)
    words = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in words}


def table(document: Path, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, each its cells."""
    _, _, rest = document.read_text("utf-8").partition(f"\n## {heading}\n")
    assert rest, f"{document.name} has no heading {heading!r}"
    rows = re.findall(r"^\|(.*)\|$", rest.partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows[2:]]
