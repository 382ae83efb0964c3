"""Folders of an installation: other users list none, and reach what is theirs."""

import os
from pathlib import Path


def make_passage(folder: Path, *, has_other_users: bool = False) -> None:
    """A folder that others cannot list; as root, or where work runs as other users, one that they
    pass to reach their own."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o711 if has_other_users or os.geteuid() == 0 else 0o700)


def write_owner_only(path: Path, line: str) -> None:
    """A line in a file that only its owner reads; the file is new or replaced."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_new_owner_only(path: Path, line: str) -> None:
    """A line in a new file that only its owner reads; FileExistsError where there is one."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
