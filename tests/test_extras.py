"""Errors that miss an extra say what to type, wherever this Parkade came from."""

import json
import re
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from parkade.extras import install, install_from

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "parkade"


def test_from_a_clone_it_is_installed_from_the_clone() -> None:
    assert install("server") == f"pip install -e '{ROOT}[server]'"


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        (None, "pip install 'parkade[server]'"),
        ({"url": "https://index/parkade.whl"}, "pip install 'parkade[server]'"),
        ({"url": "file:///home/ann/my%20clone"}, "pip install '/home/ann/my clone[server]'"),
        (
            {"url": "https://host/parkade", "vcs_info": {"vcs": "git"}},
            "pip install 'parkade[server] @ git+https://host/parkade'",
        ),
        ("not an object", "pip install 'parkade[server]'"),
    ],
)
def test_what_pip_installed_is_installed_from_where_it_came(
    tmp_path: Path, origin: object, says: str
) -> None:
    folder = tmp_path / "parkade-1.dist-info"
    folder.mkdir()
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    assert install_from(PathDistribution(folder), "server") == says


def test_no_message_says_by_itself_how_an_extra_is_installed() -> None:
    said = re.compile(r"""["'][^`\n]*pip install[^`\n]*parkade\[""")
    found = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if path.name != "extras.py" and said.search(path.read_text("utf-8"))
    ]
    assert found == []


def test_each_extra_that_a_message_names_is_there() -> None:
    named = {
        extra
        for path in SOURCE.rglob("*.py")
        for extra in re.findall(r"\binstall\('(\w+)'\)", path.read_text("utf-8"))
    }
    declared = (ROOT / "pyproject.toml").read_text("utf-8")
    assert named
    assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in named), named
