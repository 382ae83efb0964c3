"""The page on architecture says what is there: files, layers, and how many files a change takes."""

import re
import tomllib

import pytest

from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text("utf-8")
SOURCE = ROOT / "src" / "parkade"
_FILE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.py)`")


def section(heading: str) -> str:
    """What stands under a heading of the third level."""
    _, _, rest = TEXT.partition(f"\n### {heading}\n")
    assert rest, f"no heading {heading!r}"
    return re.split(r"\n##", rest)[0]


def test_every_file_that_is_named_is_there() -> None:
    named = _FILE.findall(TEXT)
    assert len(named) > 60
    missing = [
        name for name in named if not (ROOT / name).is_file() and not (SOURCE / name).is_file()
    ]
    assert missing == []


def test_the_bid_passes_as_many_files_as_the_page_says_each_named_once() -> None:
    rows = table(PAGE, "The way of a bid")
    assert [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    files = [name for row in rows for name in _FILE.findall(row[2])]
    assert len(files) == len(set(files))
    counted = re.search(r"^(\d+) files, each named where", TEXT, re.M)
    assert counted is not None and int(counted[1]) == len(files)


@pytest.mark.parametrize(
    "heading",
    [
        "A command with its event, its route and its verb",
        "A thing with a route of its own",
        "A field of the spec that the engine sees",
        "An engine",
        "A term of a market",
    ],
)
def test_an_addition_takes_as_many_files_as_the_page_says(heading: str) -> None:
    text = section(heading)
    rows = re.findall(r"^\| (.+?) \|", text, re.M)[1:]
    files = [row for row in rows if row.startswith("`")]
    counted = re.search(r"^(\d+) files?\b", text, re.M)
    assert counted is not None and int(counted[1]) == len(files)


@pytest.mark.parametrize(
    ("package", "contract"), [("parkade", "layers"), ("parkade.core", "core-layers")]
)
def test_the_drawing_is_that_of_the_contracts(package: str, contract: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = {it["id"]: it for it in settings["tool"]["importlinter"]["contracts"]}
    layers = [re.sub(r"[()]", "", layer) for layer in contracts[contract]["layers"]]
    block = re.search(rf"^```\n{re.escape(package)}\n(.*?)^```$", TEXT, re.M | re.S)
    assert block is not None
    drawn = [re.split(r"\s{2,}", line.strip())[0] for line in block[1].splitlines()]
    assert drawn == layers
