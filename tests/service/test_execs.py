"""`parkade exec` and `parkade attach` from end to end: server, agent and command line."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from parkade.engines.local import processes
from tests.crash.marketplace import POOL
from tests.service.served import Served, serving
from tests.waits import PATIENCE_S, POLL_S, until

pytestmark = pytest.mark.system
FOR_EVER = "while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with two orgs and three of their users; what they left running is ended."""
    with serving(tmp_path_factory.mktemp("execs"), "--root-workloads") as made:
        made.ask("POST", "/pools", POOL)
        for org in ("acme", "other"):
            made.ask("POST", "/orgs", {"org": org})
            made.ask("POST", f"/orgs/{org}/deposits", {"amount": "1000"})
        yield made
        made.stop()


def token_of(served: Served, user: str, org: str, role: str = "member") -> str:
    with suppress(AssertionError):
        served.ask("POST", "/users", {"user": user, "org": org, "role": role})
    return str(served.ask("POST", "/tokens", {"user": user})["secret"])


@contextmanager
def workload(served: Served, command: str = FOR_EVER) -> Iterator[str]:
    """A workload of acme that runs; nothing of it is left at the end."""
    spec = {
        "name": "train",
        "command": command,
        "workdir": str(served.folder),
        "env": {"COLOUR": "blue"},
        "limit_price": "2",
    }
    name = served.ask("POST", "/workloads", {"org": "acme", "spec": spec})["workload"]
    until(lambda: phase(served, name) == "running")
    try:
        yield name
    finally:
        served.attempt_to("POST", f"/workloads/{name}/cancel", {"now": True})
        until(lambda: phase(served, name) == "cancelled")


def phase(served: Served, name: str) -> str:
    return str(served.ask("GET", f"/workloads/{name}")["phase"])


def environment(served: Served, token: str | None = None) -> dict[str, str]:
    server = f"http://127.0.0.1:{served.port}"
    return {**os.environ, "PARKADE_SERVER": server, "PARKADE_TOKEN": token or served.token}


def parkade(*words: str) -> list[str]:
    return [sys.executable, "-m", "parkade.cli", *words]


def run(
    served: Served, *words: str, given: bytes = b"", token: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        parkade(*words),
        input=given,
        capture_output=True,
        timeout=3 * PATIENCE_S,
        env=environment(served, token),
        check=False,
    )


class Screen:
    """A program in a terminal of its own, as a person sees it."""

    def __init__(self, served: Served, *words: str, rows: int = 31, columns: int = 97) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.text = b""
        self.process = subprocess.Popen(
            parkade(*words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(served) | {"TERM": "xterm"},
            start_new_session=True,
        )

    def type(self, text: bytes) -> None:
        os.write(self.ours, text)

    def shows(self, what: bytes, *, again: bytes = b"") -> None:
        """Waits until it was printed; types `again` meanwhile."""
        ends_at = time.monotonic() + PATIENCE_S
        while what not in self.text:
            assert time.monotonic() < ends_at, self.text.decode(errors="replace")
            if select.select([self.ours], [], [], POLL_S)[0]:
                self.text += os.read(self.ours, 65536)
            elif again:
                self.type(again)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.theirs, (rows, columns))
        self.process.send_signal(signal.SIGWINCH)

    def ends(self) -> int:
        """Its exit code; the terminal is as it was."""
        code = self.process.wait(PATIENCE_S)
        assert termios.tcgetattr(self.theirs) == self.before
        while select.select([self.ours], [], [], 0)[0]:
            self.text += os.read(self.ours, 65536)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@contextmanager
def screen(served: Served, *words: str) -> Iterator[Screen]:
    made = Screen(served, *words)
    try:
        yield made
    finally:
        made.close()


def test_a_command_has_the_ranks_place_and_its_exit_code_comes_back(served: Served) -> None:
    with workload(served) as name:
        script = "echo $COLOUR $PARKADE_WORKLOAD; pwd; echo wrong >&2; exit 7"
        done = run(served, "exec", name, "--", "bash", "-c", script)
        assert done.stdout.decode().split() == ["blue", name, str(served.folder)]
        assert (done.stderr, done.returncode) == (b"wrong\n", 7)
        killed = run(served, "exec", name, "--", "bash", "-c", "kill -9 $$")
        assert killed.returncode == 128 + 9
        missing = run(served, "exec", name, "--", "no-such-program")
        assert missing.returncode == 127 and b"No such file" in missing.stderr


def test_a_megabyte_goes_in_and_comes_back_the_same(served: Served) -> None:
    content = os.urandom(1_000_000)
    with workload(served) as name:
        done = run(served, "exec", name, "--", "cat", given=content)
        assert done.stdout == content and done.returncode == 0, done.stderr
        unread = run(served, "exec", "-n", name, "--", "cat", given=content)
        assert (unread.stdout, unread.returncode) == (b"", 0)


def test_who_may_not_cancel_it_may_not_run_anything_there(served: Served) -> None:
    stranger = token_of(served, "eve", "other", "owner")
    colleague = token_of(served, "bob", "acme")
    owner = token_of(served, "ann", "acme", "owner")
    with workload(served) as name:
        for token, code in ((stranger, 4), (colleague, 5), (owner, 0)):
            done = run(served, "exec", name, "--", "true", token=token)
            assert done.returncode == code, done.stderr


def contents(served: Served) -> Iterator[bytes]:
    """Of all that the server and its agent keep; a file may be replaced meanwhile."""
    for file in (*served.data.rglob("*"), served.errors):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file():
                yield file.read_bytes()


def test_who_ran_what_is_told_but_no_word_that_may_be_secret(served: Served) -> None:
    owner = token_of(served, "ann", "acme", "owner")
    with workload(served) as name:
        run(served, "exec", name, "--", "/bin/echo", "hunter2", token=owner)
        events = subprocess.run(
            parkade("events", "--json"), env=environment(served), capture_output=True, check=True
        ).stdout.decode()
    (told,) = [line for line in events.splitlines() if name in line and "ExecOpened" in line]
    assert '"ann"' in told and '"echo"' in told
    assert not any(b"hunter2" in content for content in contents(served))
    assert "hunter2" not in events


def test_a_shell_has_the_terminals_size_its_ctrl_c_and_its_exit(served: Served) -> None:
    with workload(served) as name, screen(served, "attach", name) as shell:
        shell.type(b"stty size\n")
        shell.shows(b"31 97")
        shell.resize(24, 80)
        shell.type(b"until stty size | grep -q '24 80'; do sleep 0.1; done; echo siz''ed\n")
        shell.shows(b"sized")
        shell.type(b"trap 'echo cau''ght' INT; sleep 1000\n")
        shell.shows(b"caught", again=b"\x03")
        shell.type(b"exit 5\n")
        assert shell.ends() == 5


def test_a_tilde_and_a_full_stop_end_the_session_and_what_ran_in_it(served: Served) -> None:
    with workload(served) as name, screen(served, "attach", name) as shell:
        shell.type(b"trap '' HUP; echo pid=$$=\n")
        shell.shows(b"pid=")
        until(lambda: _pid(shell))
        pid = _pid(shell)
        assert processes.look(pid) is not None
        shell.type(b"\r~.")
        assert shell.ends() == 255
        until(lambda: processes.look(pid) is None)
        assert phase(served, name) == "running"


def _pid(shell: Screen) -> int:
    if select.select([shell.ours], [], [], POLL_S)[0]:
        shell.text += os.read(shell.ours, 65536)
    found = [it for it in shell.text.split(b"=") if it.isdigit()]
    return int(found[0]) if found else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_ends_with_the_program_that_asked_for_it(
    served: Served, number: signal.Signals, tmp_path: Path
) -> None:
    with workload(served) as name:
        path = tmp_path / "pid"
        script = f"echo $$ > {path}.new; mv {path}.new {path}; exec sleep 1000"
        asking = subprocess.Popen(
            parkade("exec", name, "--", "bash", "-c", script),
            env=environment(served),
            stdin=subprocess.PIPE,
        )
        until(path.exists)
        pid = int(path.read_text())
        asking.send_signal(number)
        assert asking.wait(PATIENCE_S) == 128 + number
        until(lambda: processes.look(pid) is None)
        assert asking.stdin is not None
        asking.stdin.close()


def test_it_ends_with_the_workload_and_says_so(served: Served) -> None:
    command = f"trap 'sleep 1; exit 0' TERM; {FOR_EVER}"
    with workload(served, command) as name, screen(served, "attach", name) as shell:
        shell.type(b"echo re''ady\n")
        shell.shows(b"ready")
        served.ask("POST", f"/workloads/{name}/cancel", {"now": False})
        shell.shows(b"was told to leave by")
        assert shell.ends() in (128 + 9, 128 + 15, 128 + 1)
        assert b"the workload ended" in shell.text


def test_what_does_not_run_is_refused_with_why(served: Served) -> None:
    with workload(served) as name:
        far = run(served, "exec", name, "--rank", "1", "--", "true")
        assert far.returncode == 3 and b"ranks 0 to 0" in far.stderr
    over = run(served, "exec", name, "--", "true")
    assert over.returncode == 3 and b"has ended" in over.stderr
    piped = run(served, "attach", name)
    assert piped.returncode == 2 and b"parkade exec" in piped.stderr


def test_a_server_that_stops_ends_what_it_carried(tmp_path: Path) -> None:
    with serving(tmp_path, "--root-workloads") as served:
        served.ask("POST", "/pools", POOL)
        served.ask("POST", "/orgs", {"org": "acme"})
        served.ask("POST", "/orgs/acme/deposits", {"amount": "1000"})
        with workload(served) as name:
            path = tmp_path / "pid"
            script = f"echo $$ > {path}.new; mv {path}.new {path}; exec sleep 1000"
            asking = subprocess.Popen(
                parkade("exec", "-n", name, "--", "bash", "-c", script),
                env=environment(served),
                stderr=subprocess.PIPE,
            )
            until(path.exists)
            pid = int(path.read_text())
            served.stop()
            until(lambda: processes.look(pid) is None)
            _, said = asking.communicate(timeout=PATIENCE_S)
            assert asking.returncode == 255, said
            served.start("--root-workloads")
            until(lambda: phase(served, name) == "running")
