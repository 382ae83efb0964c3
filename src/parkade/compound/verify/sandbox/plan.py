"""The command that starts a sandbox: what of the machine is seen inside, and with which rights.

Seen inside, all read-only: /usr, the interpreter's own folder, and the folder `inside` of this
package. /usr/local, /usr/share but for time zones, /usr/src, and the folders of installed Python
packages (site-packages, dist-packages) are empty there, unless the interpreter itself lies inside.
Nothing else of the machine is there: no /etc, no home folder, no environment, no network
interface but an unused loopback. bubblewrap makes this world; the zygote then jails each process
that it forks once more (`inside/jail.py`).

As root the zygote keeps four capabilities, with which it gives each jailed process a Unix user of
its own, and namespaces; else it has CAP_SYS_ADMIN within a user namespace, for the namespaces.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from parkade.compound.verify.sandbox import inside
from parkade.compound.verify.sandbox.errors import ACCEPTANCE, SandboxUnavailable

PACKAGE = "/parkade"
INSIDE = "parkade/compound/verify/sandbox/inside"
NOBODY = "65534"
ROOT_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL")
ASK_PYTHON_SECONDS = 30
UNNEEDED = (Path("/usr/local"), Path("/usr/share"), Path("/usr/src"))
ZONES = Path("/usr/share/zoneinfo")
PACKAGE_FOLDERS = (
    "lib/python3*/site-packages",
    "lib/python3*/dist-packages",
    "lib64/python3*/site-packages",
)

#: Users of jailed processes where the zygote is root: far from those that people and services
#: have, and others for each process that has sandboxes and for each of its rooms.
FIRST_USER, MOST_ROOMS, SEATS = 1_800_000_000, 32, 2


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter, and the folder that holds its standard library."""

    executable: Path
    prefix: Path

    @classmethod
    def current(cls) -> "Python":
        """The interpreter that runs this program, without its virtual environment."""
        base: str = getattr(sys, "_base_executable", None) or sys.executable
        return cls(executable=Path(base).resolve(), prefix=Path(sys.base_prefix).resolve())

    @classmethod
    def at(cls, executable: Path) -> "Python":
        """Another one, asked for its folder; `SandboxUnavailable` if it does not answer."""
        ask = "import sys; print(sys.base_prefix); sys.exit(sys.version_info < (3, 11))"
        command = [str(executable), "-I", "-S", "-c", ask]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=ASK_PYTHON_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SandboxUnavailable(f"{executable} is no Python of 3.11 or newer") from error
        prefix = Path(done.stdout.strip()).resolve()
        return cls(executable=executable.resolve(), prefix=prefix)


class RoomPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A command, its environment, and the settings that its last argument carries."""

    command: tuple[str, ...]
    environment: dict[str, str]
    is_unsandboxed: bool
    #: The first Unix user of jailed processes; None where all run as the sandbox's own.
    first_user: int | None
    #: Processes that the kernel counts for the same user, beside one jailed process.
    other_processes: int

    def settings(self, code_descriptor: int, tests_descriptor: int) -> str:
        """The zygote's one argument."""
        settings = {
            "is_unsandboxed": self.is_unsandboxed,
            "first_user": self.first_user,
            "other_processes": self.other_processes,
            "code_descriptor": code_descriptor,
            "tests_descriptor": tests_descriptor,
        }
        return msgspec.json.encode(settings).decode()


def plan(
    python: Python, *, room: int, is_root: bool, allow_unsandboxed: str | None = None
) -> RoomPlan:
    """How to start a room on this machine; `SandboxUnavailable` if bubblewrap is not installed.

    `room` is its number among those of this process, below `MOST_ROOMS`; `is_root` says whose
    command it will be. `allow_unsandboxed` must
    be `ACCEPTANCE`, word for word; it counts only without bubblewrap.
    """
    assert 0 <= room < MOST_ROOMS
    if allow_unsandboxed not in (None, ACCEPTANCE):
        raise ValueError(f"allow_unsandboxed must be None or {ACCEPTANCE!r}")
    program = shutil.which("bwrap")
    if program is None:
        if allow_unsandboxed is None:
            raise SandboxUnavailable("the program bwrap is not installed")
        return _unsandboxed(python)
    rights = _root_rights() if is_root else _user_rights()
    command = (program, *rights, *_sights(python, _folder()), "--", *_zygote(python, PACKAGE))
    return RoomPlan(
        command=command,
        environment={},
        is_unsandboxed=False,
        first_user=_user(room) if is_root else None,
        other_processes=0 if is_root else 2,
    )


def _root_rights() -> tuple[str, ...]:
    keep = [part for name in ROOT_CAPABILITIES for part in ("--cap-add", name)]
    return ("--cap-drop", "ALL", *keep)


def _user_rights() -> tuple[str, ...]:
    user = ("--unshare-user", "--uid", NOBODY, "--gid", NOBODY)
    return (*user, "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN")


def _sights(python: Python, folder: Path) -> tuple[str, ...]:
    arguments = [
        "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
        "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv",
        "--setenv", "PATH", "/usr/bin", "--setenv", "HOME", "/tmp", "--setenv", "LANG", "C.UTF-8",
        "--setenv", "PYTHONPATH", PACKAGE, "--setenv", "PYTHONHASHSEED", "0",
        "--setenv", "LD_BIND_NOW", "1",
        "--ro-bind", "/usr", "/usr", *_libraries(),
    ]  # fmt: skip
    if not python.prefix.is_relative_to("/usr"):
        arguments += _seen(python.prefix, python.prefix)
    arguments += _hidden(python)
    arguments += _seen(folder, Path(PACKAGE) / INSIDE)
    arguments += ["--proc", "/proc", "--dir", "/tmp", "--dir", "/dev"]
    for device in ("null", "urandom"):
        arguments += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    return (*arguments, "--remount-ro", "/", "--chdir", "/tmp")


def _seen(source: Path, target: Path) -> list[str]:
    """A folder, and above it folders that any user may pass; bubblewrap's own are for root only."""
    above = [str(path) for path in reversed(target.parents) if path != Path("/")]
    passable = [part for path in above for part in ("--perms", "0755", "--dir", path)]
    return [*passable, "--ro-bind", str(source), str(target)]


def _hidden(python: Python) -> list[str]:
    """Empty folders over what no candidate needs; the standard library reads time zones."""
    own = (python.prefix, python.executable)
    folders = [
        path.resolve()
        for path in UNNEEDED
        if path.is_dir() and not any(each.is_relative_to(path.resolve()) for each in own)
    ]
    packages = {
        path.resolve()
        for root in (Path("/usr"), Path("/usr/local"), python.prefix)
        for pattern in PACKAGE_FOLDERS
        for path in root.glob(pattern)
        if path.is_dir()
    }
    seen = (Path("/usr"), python.prefix)
    folders += sorted(
        path
        for path in packages
        if any(path.is_relative_to(each) for each in seen)
        and not any(path.is_relative_to(each) for each in folders)
    )
    arguments = [part for path in folders for part in ("--tmpfs", str(path))]
    if Path("/usr/share") in folders and ZONES.is_dir():
        arguments += ["--ro-bind", str(ZONES), str(ZONES)]
    return arguments + [part for path in folders for part in ("--remount-ro", str(path))]


def _libraries() -> list[str]:
    """What lies beside /usr on this machine: links into it, or folders of their own."""
    found = []
    for path in (Path("/lib"), Path("/lib64"), Path("/lib32")):
        if path.is_symlink():
            found += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            found += ["--ro-bind", str(path), str(path)]
    return found


def _zygote(python: Python, package: str) -> tuple[str, ...]:
    file = f"{package}/{INSIDE}/zygote.py"
    return (str(python.executable), "-P", "-S", "-s", "-B", file)


@functools.cache
def _folder() -> Path:
    return Path(inside.__path__[0]).resolve()


def _user(room: int) -> int:
    return FIRST_USER + (os.getpid() * MOST_ROOMS + room) * SEATS


def _unsandboxed(python: Python) -> RoomPlan:
    package = str(_folder()).removesuffix(f"/{INSIDE}")
    return RoomPlan(
        command=_zygote(python, package),
        environment={
            "PYTHONPATH": package,
            "PYTHONHASHSEED": "0",
            "LD_BIND_NOW": "1",
            "PATH": os.defpath,
        },
        is_unsandboxed=True,
        first_user=None,
        other_processes=1 << 20,
    )
