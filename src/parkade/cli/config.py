"""Server address and token: from the environment, else from a file that only its user reads."""

import json
import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

DEFAULT_SERVER = "http://127.0.0.1:8300"


@dataclass(frozen=True)
class Config:
    """A server and the token for it; `warning` is what is wrong with the file."""

    server: str
    token: str | None
    warning: str | None = None

    def __repr__(self) -> str:
        return f"Config(server={self.server!r})"


def path() -> Path:
    """`PARKADE_CONFIG`, or the user's own configuration folder."""
    named = os.environ.get("PARKADE_CONFIG")
    if named:
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("parkade") / "config.toml"


def load() -> Config:
    """The configuration; ValueError where the file cannot be read."""
    file = path()
    kept: dict[str, object] = {}
    warning = None
    try:
        kept = tomllib.loads(file.read_text("utf-8"))
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            warning = f"others can read {file}; run: chmod 600 {file}"
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
    server = os.environ.get("PARKADE_SERVER") or kept.get("server") or DEFAULT_SERVER
    token = os.environ.get("PARKADE_TOKEN") or kept.get("token")
    return Config(str(server).rstrip("/"), str(token) if token else None, warning)


def save(server: str, token: str | None) -> Path:
    """Replaces the file in one step; it is never readable by others, not even for a moment. None:
    it holds no token."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(f"server = {json.dumps(server)}\n")
            if token is not None:
                handle.write(f"token = {json.dumps(token)}\n")
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    return file


def forget() -> Path | None:
    """Takes the token out of the file, whatever it holds, and keeps the server where that can be
    read and written; None: there is no file. OSError where the token stays."""
    file = path()
    if not file.exists():
        return None
    try:
        server = tomllib.loads(file.read_text("utf-8")).get("server")
        if isinstance(server, str):
            return save(server, None)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        pass
    file.unlink()
    return file
