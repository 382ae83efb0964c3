"""Builds the documentation site: `python tools/site/build.py FOLDER` (`make docs`).

The pages are those of the repository, gathered into a folder of their own with a page for each
command, made of its help. A link to a file that is no page, such as a test, becomes its path:
the site stands alone. A page that no list of `index.md` names, and a link that leads nowhere,
end the build.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import commands

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def _sources() -> Iterator[Path]:
    """What the site shows, relative to the repository."""
    yield from (Path(name) for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"))
    for folder in ("docs", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".md", ".svg", ".png"):
                yield path.relative_to(ROOT)


def _without_links_out(text: str, page: Path, shown: set[Path]) -> str:
    """The page's text; a link to what the site does not show is its words and the path."""

    def replaced(link: re.Match[str]) -> str:
        words, target = link[1], link[2]
        if ":" in target:
            return link[0]
        path = (ROOT / page.parent / target).resolve().relative_to(ROOT)
        if path in shown or not (ROOT / path).exists():
            return link[0]
        is_named = str(path).endswith(words.strip("`"))
        return f"`{path}`" if is_named else f"{words} (`{path}`)"

    return _LINK.sub(replaced, text)


def _listed(title: str, pages: list[str]) -> str:
    lines = "\n".join(pages)
    return f"# {title}\n\n```{{toctree}}\n:maxdepth: 1\n\n{lines}\n```\n"


def gather(into: Path) -> None:
    """Writes all pages below a folder, which is made anew."""
    shutil.rmtree(into, ignore_errors=True)
    shown = set(_sources())
    for page in shown:
        (into / page).parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            text = (ROOT / page).read_text("utf-8")
            (into / page).write_text(_without_links_out(text, page, shown), "utf-8")
        else:
            shutil.copyfile(ROOT / page, into / page)
    shutil.copyfile(HERE / "index.md", into / "index.md")
    examples = sorted(str(it.with_suffix("")) for it in shown if it.parts[0] == "examples")
    (into / "examples.md").write_text(_listed("Examples", examples), "utf-8")
    for decision in (into / "docs/decisions").glob("0*.md"):
        # Reached from their index: a list of them beside every page would be most of the site.
        text = decision.read_text("utf-8")
        decision.write_text(f"---\norphan: true\n---\n\n{text}", "utf-8")
    commands.write(into / "commands")


def main(folder: Path) -> int:
    """Builds the site into a folder; returns Sphinx's exit code."""
    source = folder.with_name(f"{folder.name}-pages")
    gather(source)
    options = ["-b", "html", "-q", "-W", "--keep-going", "-c", str(HERE)]
    sphinx = [sys.executable, "-m", "sphinx", *options, str(source), str(folder)]
    return subprocess.run(sphinx, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]).resolve()))
