"""Plain words: subjects have names, and words that the glossary replaced do not come back.

`LEFT_IDENTIFIERS` is what folders that are not rewritten yet still hold; each may only fall.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from parkade.cli.app import app
from tests.docs.pages import ROOT, documents, table

SOURCE = ROOT / "src" / "parkade"
OPENS_WITHOUT_A_SUBJECT = re.compile(
    r"(who|whom|whose|whoever|somebody|someone|nobody|anybody|everybody|everyone|no one)\b", re.I
)
NAMELESS = re.compile(
    r"\b(whoever|somebody|someone|nobody|anybody|anyone|everybody|everyone)\b", re.I
)
NAMES_TO_AVOID = frozenset({"told", "said", "desk", "worlds", "roll", "teller", "door", "doors"})
# Words that are right elsewhere: a point on a curve, a line that turns down.
WHOLE_NAMES_TO_AVOID = frozenset(
    (name, folder)
    for name in ("point", "turns")
    for folder in ("api", "control", "core", "service", "store")
)
# Identifiers to avoid, by folder: none elsewhere.
LEFT_IDENTIFIERS = {"agent": 1, "api": 12, "client": 2, "service": 1}

DO_NOT_SAY = [
    word
    for row in table(ROOT / "docs" / "glossary.md", "Words")
    for word in re.split(r", ", row[2])
    if word
]
NOT_IN_TEXT = [word for word in DO_NOT_SAY if not word.startswith("`")]
NOT_IN_CODE = NAMES_TO_AVOID | {word.strip("`") for word in DO_NOT_SAY if word.startswith("`")}
# Where a banned word is part of a standard term.
TERMS = re.compile(r"\bhost names?\b", re.I)
# Slurm's own words, on pages about Slurm.
OF_SLURM = {"partition"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """(folder below src/parkade, parsed module) of each module."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).parts
        yield parts[0].removesuffix(".py"), ast.parse(path.read_text("utf-8"))


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield text


def is_nameless(text: str) -> bool:
    """Whether a docstring has a subject without a name."""
    return bool(OPENS_WITHOUT_A_SUBJECT.match(text) or NAMELESS.search(text))


def identifiers(tree: ast.Module) -> Iterator[str]:
    """Names that a module gives: of classes, functions, parameters and variables."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def words_of(identifier: str) -> set[str]:
    """`TrappedEngine` and `trapped_engine` are trapped and engine."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def over(found: Counter[str], left: dict[str, int]) -> dict[str, int]:
    return {folder: count for folder, count in found.items() if count > left.get(folder, 0)}


def test_docstrings_name_their_subject() -> None:
    found = [
        (folder, text)
        for folder, tree in modules()
        for text in docstrings(tree)
        if is_nameless(text)
    ]
    assert found == []


def test_each_public_function_of_the_core_says_what_its_name_does_not() -> None:
    missing = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in sorted((SOURCE / "core").rglob("*.py"))
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if ast.get_docstring(node) is None
    ]
    assert missing == []


def test_identifiers_are_no_words_that_were_replaced() -> None:
    found = Counter(
        folder
        for folder, tree in modules()
        for name in set(identifiers(tree))
        if words_of(name) & NOT_IN_CODE or (name.strip("_"), folder) in WHOLE_NAMES_TO_AVOID
    )
    assert over(found, LEFT_IDENTIFIERS) == {}


def help_texts() -> Iterator[str]:
    """What the command line says of itself."""
    waiting = [get_command(app)]
    while waiting:
        command = waiting.pop()
        yield command.help or ""
        yield from (getattr(each, "help", None) or "" for each in command.params)
        waiting += getattr(command, "commands", {}).values()


def replaced(text: str) -> list[str]:
    plain = TERMS.sub("", re.sub(r"`[^`\n]*`", "", text))
    return [word for word in NOT_IN_TEXT if re.search(rf"\b{re.escape(word)}s?\b", plain, re.I)]


@pytest.mark.parametrize(
    "document",
    [each for each in documents() if "decisions" not in each.parts and each.stem != "glossary"],
    ids=lambda document: document.name,
)
def test_no_page_uses_a_word_that_was_replaced(document: Path) -> None:
    allowed = OF_SLURM if document.stem.startswith("slurm") else set()
    assert set(replaced(document.read_text("utf-8"))) <= allowed


def test_no_help_text_uses_a_word_that_was_replaced_or_a_nameless_subject() -> None:
    texts = list(help_texts())
    assert len(texts) > 100
    assert [text for text in texts if replaced(text) or is_nameless(text)] == []


OF_BEFORE = re.compile(r"\bof before\b(?! [0-9])")
"""For "older", "replaced", "earlier"; not of a version ("of before 1.0")."""
SEEN_BY_USERS = ("api", "cli", "client", "console", "wire")


def test_what_users_read_says_older_or_replaced_and_not_of_before() -> None:
    found = [
        text
        for folder, tree in modules()
        if folder in SEEN_BY_USERS
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(text := node.value, str)
        if OF_BEFORE.search(text)
    ]
    pages = [each for each in documents() if "decisions" not in each.parts]
    found += [each.name for each in pages if OF_BEFORE.search(each.read_text("utf-8"))]
    assert [each for each in found if each != "CHANGELOG.md"] == []


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("Who asks.", True),
        ("Shown to whoever asks.", True),
        ("Nobody is told.", True),
        ("The user of the token.", False),
        ("An org whose balance is zero.", False),
    ],
)
def test_a_nameless_subject_is_found(text: str, is_so: bool) -> None:
    assert is_nameless(text) is is_so


def test_a_replaced_word_is_found() -> None:
    assert replaced("Two hosts were evicted.") == ["host", "evicted"]
    assert replaced("A host name, or `host`.") == []
    assert words_of("TrappedEngine") == words_of("trapped_engine") == {"trapped", "engine"}
