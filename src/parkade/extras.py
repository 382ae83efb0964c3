"""How an extra of Parkade is installed: one sentence for every error that needs it.

What to type depends on where this Parkade came from: a clone, a folder or repository that pip
installed (it keeps the address, PEP 610), or a package index.
"""

import json
import shlex
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

NAME = "parkade"


def install(extra: str) -> str:
    """The command that adds an extra, like `pip install -e '/home/ann/parkade[server]'`."""
    clone = Path(__file__).resolve().parents[2]
    if (clone / "pyproject.toml").is_file() and (clone / "src" / NAME).is_dir():
        return f"pip install -e {shlex.quote(f'{clone}[{extra}]')}"
    try:
        found = distribution(NAME)
    except PackageNotFoundError:
        return f"pip install '{NAME}[{extra}]'"
    return install_from(found, extra)


def install_from(found: Distribution, extra: str) -> str:
    """The same for an installed package."""
    try:
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        address = str(origin.get("url") or "")
        vcs = str(origin.get("vcs_info", {}).get("vcs", ""))
    except (ValueError, AttributeError):
        address, vcs = "", ""
    if vcs:
        return f"pip install {shlex.quote(f'{NAME}[{extra}] @ {vcs}+{address}')}"
    parts = urlsplit(address)
    if parts.scheme == "file":
        return f"pip install {shlex.quote(f'{unquote(parts.path)}[{extra}]')}"
    return f"pip install '{NAME}[{extra}]'"
