"""Unix users for tests that run as root: made under names that nothing else has, and gone after."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PROGRAMS = ("useradd", "userdel", "groupdel", "sudo", "visudo")


def missing() -> list[str]:
    """What this machine lacks for them."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return lacking or ([] if os.geteuid() == 0 else ["root"])


@contextmanager
def people(*names: str) -> Iterator[list[str]]:
    """Users without a home; each has its name with a word that no other test has."""
    word = secrets.token_hex(3)
    made = []
    try:
        for name in names:
            made.append(f"pk{name}{word}")
            _run("useradd", "--no-create-home", "--home-dir", "/", "--user-group", made[-1])
        yield made
    finally:
        for name in made:
            with suppress(subprocess.CalledProcessError):
                _run("userdel", "--force", name)


@contextmanager
def group() -> Iterator[str]:
    """A name for a group that somebody else makes; the group is gone after."""
    name = f"pkgroup{secrets.token_hex(3)}"
    try:
        yield name
    finally:
        with suppress(subprocess.CalledProcessError):
            _run("groupdel", name)


def join(user: str, name: str) -> None:
    """Makes a user a member of a group."""
    _run("usermod", "--append", "--groups", name, user)


def as_user(user: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What a user's own shell would do; never fails the test by itself."""
    become = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups")
    return subprocess.run(
        [*become, *words], input=stdin, capture_output=True, text=True, check=False, cwd="/",
        timeout=120, env={"PATH": PATH, "SLURM_CONF": os.environ.get("SLURM_CONF", "")},
    )  # fmt: skip


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, env={"PATH": PATH})
