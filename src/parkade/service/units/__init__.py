"""The unit files of systemd, with the folder of the program's command filled in."""

from importlib.resources import files
from pathlib import Path
from string import Template

NAMES = (
    "parkade-server.socket",
    "parkade-server.service",
    "parkade-agent@.service",
    "parkade-mars.service",
)


def unit(name: str, *, bin_folder: Path) -> str:
    """A unit file's text; `bin_folder` is where the command `parkade` is installed."""
    text = (files(__name__) / name).read_text("utf-8")
    return Template(text).substitute(bin=bin_folder)


def write_units(folder: Path, *, bin_folder: Path, replaces: bool) -> tuple[Path, ...]:
    """Writes each unit into a folder, made where it is missing. FileExistsError at the first that
    is there and says something else, before any is written, unless `replaces`."""
    texts = {folder / name: unit(name, bin_folder=bin_folder) for name in NAMES}
    for path, text in texts.items():
        if not replaces and path.exists() and path.read_text("utf-8") != text:
            raise FileExistsError(
                f"{path} is there and was changed; --replace writes the one of this program"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, "utf-8")
    return tuple(texts)
