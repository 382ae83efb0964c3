"""The documentation builds as a site without a warning, and the site stands alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from parkade.cli.app import app

ROOT = Path(__file__).parents[2]
# What a page loads; a link that a person follows (`<a href>`) may lead anywhere.
_LOADS = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]*)\"|<link\b([^>]*)>")
_STYLE_LOADS = re.compile(r"(?:@import\s+|url\()[\"']?(https?:)?//")
_OUTSIDE = re.compile(r"^(https?:)?//")

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("built") / "site"
    asked = [sys.executable, str(ROOT / "tools/site/build.py"), str(made)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def commands(command: object, name: str = "parkade") -> list[str]:
    inner = getattr(command, "commands", {})
    return [name] + [
        found
        for word, each in inner.items()
        if not each.hidden
        for found in commands(each, f"{name} {word}")
    ]


def test_each_command_and_each_page_of_the_repository_is_in_it(site: Path) -> None:
    for name in commands(get_command(app)):
        page = "-".join(name.split()[:2])
        text = (site / f"commands/{page}.html").read_text("utf-8")
        assert f'id="{name.replace(" ", "-")}"' in text, name
    for path in sorted((ROOT / "docs").rglob("*.md")):
        assert (site / path.relative_to(ROOT).with_suffix(".html")).exists(), path


def test_an_option_stands_on_the_page_of_its_command(site: Path) -> None:
    page = (site / "commands/parkade-submit.html").read_text("utf-8")
    assert "--limit-price" in page and "--max-spend" in page


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in sorted(site.rglob("*.html")):
        for source, link in _LOADS.findall(page.read_text("utf-8")):
            target = source or "".join(re.findall(r'href="([^"]*)"', link))
            assert not _OUTSIDE.match(target), (page.name, target)
    for style in sorted(site.rglob("*.css")):
        assert not _STYLE_LOADS.search(style.read_text("utf-8")), style.name


def test_links_to_files_that_are_no_pages_are_their_paths(site: Path) -> None:
    page = (site / "docs/failures.html").read_text("utf-8")
    assert "tests/crash/test_kills.py" in page and 'href="../tests' not in page


def test_every_picture_is_there(site: Path) -> None:
    shown = [
        (page, source)
        for page in sorted(site.rglob("*.html"))
        for source in re.findall(r'<img [^>]*src="([^"]+)"', page.read_text("utf-8"))
    ]
    assert any(page.name == "README.html" for page, _ in shown)
    assert [it for it in shown if not (it[0].parent / it[1]).exists()] == []
