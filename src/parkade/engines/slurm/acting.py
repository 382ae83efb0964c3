"""Acts as the user of a workload: by taking its rights where the agent is root, else by a launcher.

The launcher (`launcher`) is root's and run by sudo; it lets the agent submit and cancel jobs, and
make and clear folders, as a member of one Unix group. What a user makes in a folder of the agent's
keeps the agent's group, so the agent reads and moves it without any right of root.
"""

import json
import os
import pwd
import secrets
from collections.abc import Mapping
from pathlib import Path

from parkade.engines.local.folders import give
from parkade.engines.local.records import Account
from parkade.engines.slurm.commands import SUDO, Commands
from parkade.ports import Transient

PASSABLE = 0o711
OPEN = 0o2733
"""Anyone may make something in it, which keeps its group. Only while its user does, and under a
name that no one can guess."""


class Acting:
    """`launcher`: its path; None: our own rights do."""

    def __init__(self, commands: Commands, launcher: str | None) -> None:
        self.commands = commands
        self.launcher = launcher

    def submit(self, script: str, account: Account | None) -> str:
        """What sbatch says of a batch script; `account` None: as ourselves."""
        if account is None or self.launcher is None:
            words = ("sbatch", "--parsable")
            answer = self.commands.run(*words, stdin=script, account=account)
        else:
            answer = self._launch("submit", account.name, stdin=script)
        return answer.decode(errors="replace").strip()

    def cancel(self, job: int, account: Account | None) -> None:
        """Ends a job of that user."""
        if account is None or self.launcher is None:
            self.commands.run("scancel", str(job), account=account)
        else:
            self._launch("cancel", account.name, str(job))

    def make(
        self, above: Path, name: str, files: Mapping[str, str | None], owner: Account | None
    ) -> None:
        """Makes the folder of that name, which is the user's, with these files in it; None as
        content: a folder. `owner` None: we own it. Raises Transient where another user's came
        between."""
        content = {name: None, **{f"{name}/{path}": text for path, text in files.items()}}
        if owner is None or self.launcher is None:
            _write(above, content)
            if owner is not None:
                for path in content:
                    give(above / path, owner)
            return
        stage = above / f".{secrets.token_hex(16)}"
        stage.mkdir(0o700)
        try:
            stage.chmod(OPEN)
            self._launch("make", owner.name, str(stage), stdin=json.dumps(content))
            stage.chmod(PASSABLE)
            found = {one.name: one.lstat().st_uid for one in stage.iterdir()}
            if found != {name: owner.uid}:
                raise Transient(f"{stage} holds what {owner.name} did not make: {found}")
            (stage / name).rename(above / name)
        finally:
            stage.chmod(PASSABLE)
            if not any(stage.iterdir()):
                stage.rmdir()

    def clear(self, folder: Path) -> None:
        """Deletes what the owner of a folder left in it, where only that user may."""
        if self.launcher is None or folder.is_symlink() or not folder.is_dir():
            return
        uid = folder.lstat().st_uid
        if uid == os.geteuid():
            return
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            return
        self._launch("clear", name, str(folder))

    def _launch(self, verb: str, user: str, *words: str, stdin: str = "") -> bytes:
        assert self.launcher is not None
        return self.commands.run(SUDO, "-n", self.launcher, verb, user, *words, stdin=stdin)


def _write(above: Path, content: Mapping[str, str | None]) -> None:
    for name, text in content.items():
        path = above / name
        if text is None:
            path.mkdir(0o700)
        else:
            path.touch(0o600)
            path.write_text(text)
