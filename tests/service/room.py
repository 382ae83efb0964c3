"""A machine seen through a layer: what is written outside one folder lands in the layer, and every
process that was started in the room is known by its mount namespace.

Linux, as root: the layer is an overlay over `/`. The folder itself, `/proc`, `/sys` and `/dev` are
the machine's own.
"""

import functools
import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waits import PATIENCE_S

_BUILD = """
set -e
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/layer,workdir=$1/work" "$1/root"
for shared in /proc /sys /dev; do mount --rbind $shared "$1/root$shared"; done
mkdir -p "$1/root$2"
mount --bind "$2" "$1/root$2"
exec chroot "$1/root" sh -c 'echo built; exec cat'
"""


class Room:
    """`folder` is where programs may write."""

    def __init__(self, folder: Path, layers: Path, door: int) -> None:
        self.folder = folder
        self._layer = layers / "layer"
        self._door = door
        self._namespace = Path(f"/proc/{door}/ns/mnt").readlink()

    def start(
        self, words: Sequence[str], output: Path, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with output.open("ab") as log:
            return subprocess.Popen(
                self._inside(words), stdout=log, stderr=log, env=environment, cwd=self.folder
            )

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._inside(words),
            capture_output=True,
            text=True,
            input=given,
            env=environment,
            timeout=PATIENCE_S,
        )

    def _inside(self, words: Sequence[str]) -> list[str]:
        door = [f"--mount=/proc/{self._door}/ns/mnt", f"--root=/proc/{self._door}/root"]
        return ["nsenter", *door, f"--wd={self.folder}", *words]

    def processes(self) -> dict[int, str]:
        """What lives in the room, with its command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self._door:
                continue
            try:
                if (entry / "ns" / "mnt").readlink() != self._namespace:
                    continue
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                is_dead = " Z " in (entry / "stat").read_text()
            except OSError:
                continue
            if not is_dead:
                found[int(entry.name)] = words
        return found

    def written(self) -> set[Path]:
        """Files that are new or changed on the machine, outside the folder."""
        return {
            Path("/") / path.relative_to(self._layer)
            for path in self._layer.rglob("*")
            if not stat.S_ISDIR(path.lstat().st_mode) and not stat.S_ISCHR(path.lstat().st_mode)
        }

    def end(self) -> None:
        """KILL to all that lives in it."""
        while found := self.processes():
            for process in found:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass


@contextmanager
def room(folder: Path) -> Iterator[Room]:
    """All that still runs in it is ended at the end."""
    with tempfile.TemporaryDirectory(prefix="parkade-room-") as name:
        layers = Path(name)
        with _door(layers, folder) as door:
            made = Room(folder, layers, door)
            try:
                yield made
            finally:
                made.end()


@contextmanager
def _door(layers: Path, folder: Path) -> Iterator[int]:
    for each in ("layer", "work", "root"):
        (layers / each).mkdir()
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BUILD, "sh"]
    process = subprocess.Popen(
        [*words, str(layers), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.stdout.readline() != "built\n":
            raise OSError("no layer can be laid over this machine's files")
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(PATIENCE_S)
        process.stdout.close()


@functools.cache
def why_not() -> str:
    """Why no room can be built here; empty where one can."""
    if os.geteuid() != 0:
        return "needs root"
    with tempfile.TemporaryDirectory(prefix="parkade-room-") as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        try:
            with room(folder):
                return ""
        except OSError as error:
            return str(error)
