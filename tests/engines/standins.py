"""Stand-ins for today's trainers and launchers, each as it was seen to behave in the wild.

A trainer writes the signals that it got, one a line, to `told.RANK` in the checkpoint folder, and
`up.RANK` once its handlers are in place. What it saved it reports as `.parkade.json`.
"""

import shlex
import sys
import textwrap

PYTHON = shlex.quote(sys.executable)

_BEGIN = """
import json, os, signal, sys, time, datetime
folder = os.environ["PARKADE_CHECKPOINT_DIR"]
rank = os.environ["PARKADE_NODE_RANK"] + os.environ.get("LOCAL_RANK", "")
def note(name, text):
    with open(f"{folder}/{name}.{rank}", "a") as file:
        file.write(text + "\\n")
def told(number):
    note("told", signal.Signals(number).name)
def report():
    at = datetime.datetime.now(datetime.timezone.utc).isoformat()
    with open(f"{folder}/.new.{rank}", "w") as file:
        json.dump({"step": 1, "at": at}, file)
    os.replace(f"{folder}/.new.{rank}", f"{folder}/.parkade.json")
def up():
    note("up", "")
def wait():
    while True:
        time.sleep(0.02)
"""


def python(body: str) -> str:
    """The shell words that run a program after the common beginning."""
    return f"{PYTHON} -c {shlex.quote(_BEGIN + textwrap.dedent(body))}"


def saves(*signals: str, code: int = 85, save_s: float = 0.2) -> str:
    """Catches the signals, saves for a while, reports, and exits."""
    return python(
        f"""
        asked = []
        def handle(number, frame):
            told(number)
            asked.append(number)
        for name in {signals!r}:
            signal.signal(signal.Signals[name], handle)
        up()
        while not asked:
            time.sleep(0.02)
        ends = time.monotonic() + {save_s}
        while time.monotonic() < ends:
            time.sleep(0.02)
        report()
        print("saved", flush=True)
        sys.exit({code})
        """
    )


def takes(how: str) -> str:
    """Has no handler: it waits for TERM in a thread (`sigwait`) or in all it has (`alone`), reads a
    `signalfd`, or looks for it between its steps (`polls`)."""
    return python(
        f"""
        import ctypes, select, struct, threading
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        asked = []
        def take():
            asked.append(signal.sigwait([signal.SIGTERM]))
        if {how!r} == "sigwait":
            threading.Thread(target=take, daemon=True).start()
        if {how!r} == "signalfd":
            mask = ctypes.create_string_buffer(struct.pack("Q", 1 << signal.SIGTERM - 1), 128)
            descriptor = ctypes.CDLL(None).signalfd(-1, mask, 0)
        if {how!r} == "alone":
            up()
            take()
        else:
            up()
        while not asked:
            if {how!r} == "polls":
                found = signal.sigtimedwait([signal.SIGTERM], 0)
                asked += [found.si_signo] if found else []
            if {how!r} == "signalfd" and select.select([descriptor], [], [], 0)[0]:
                asked.append(os.read(descriptor, 128)[0])
            time.sleep(0.02)
        told(asked[0])
        report()
        sys.exit(85)
        """
    )


def exits_unsaved(code: int = 0) -> str:
    """Lightning without a callback that saves: leaves at the signal, with 0, and saved nothing."""
    return python(
        f"""
        def handle(number, frame):
            told(number)
            sys.exit({code})
        signal.signal(signal.SIGTERM, handle)
        up()
        wait()
        """
    )


def goes_on() -> str:
    """JAX: catches TERM in C++ and never ends of it."""
    return python(
        """
        signal.signal(signal.SIGTERM, lambda number, frame: told(number))
        up()
        wait()
        """
    )


def saves_once(save_s: float) -> str:
    """NeMo: the first TERM starts the save and puts the default handler back; a second kills."""
    return python(
        f"""
        asked = []
        def handle(number, frame):
            told(number)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            asked.append(number)
        signal.signal(signal.SIGTERM, handle)
        up()
        while not asked:
            time.sleep(0.02)
        ends = time.monotonic() + {save_s}
        while time.monotonic() < ends:
            time.sleep(0.02)
        report()
        """
    )


def without_handlers() -> str:
    """Plain PyTorch, torchtitan."""
    return python("up()\nwait()")


def with_loaders(how: str, *, save_s: float) -> str:
    """A trainer with two data loaders, forked (they inherit its handlers and begin with TERM's
    default put back, as PyTorch's do) or spawned; it fails if one of them is gone."""
    return python(
        f"""
        import subprocess
        asked = []
        def handle(number, frame):
            told(number)
            asked.append(number)
        signal.signal(signal.SIGTERM, handle)
        loaders = []
        for _ in range(2):
            if {how!r} == "fork":
                pid = os.fork()
                if pid == 0:
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    while os.getppid() != 1:
                        time.sleep(0.05)
                    os._exit(0)
            else:
                pid = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]).pid
            loaders.append(pid)
        up()
        def check():
            for pid in loaders:
                if os.waitpid(pid, os.WNOHANG) != (0, 0):
                    note("lost", "loader")
                    os._exit(1)
        while not asked:
            check()
            time.sleep(0.02)
        ends = time.monotonic() + {save_s}
        while time.monotonic() < ends:
            check()
            time.sleep(0.02)
        report()
        for pid in loaders:
            os.kill(pid, signal.SIGKILL)
        sys.exit(85)
        """
    )


def handler_comes_late(after_s: float) -> str:
    """Compiles first, with TERM at its default."""
    return python(
        f"""
        note("begun", "")
        time.sleep({after_s})
        asked = []
        def handle(number, frame):
            told(number)
            asked.append(number)
        signal.signal(signal.SIGTERM, handle)
        up()
        while not asked:
            time.sleep(0.02)
        report()
        sys.exit(85)
        """
    )


def python_launcher(command: str) -> str:
    """A script that runs another program and waits for it, and knows nothing of signals."""
    program = (
        "import subprocess, sys; sys.exit(subprocess.run(['bash', '-c', sys.argv[1]]).returncode)"
    )
    return f"{PYTHON} -c {shlex.quote(program)} {shlex.quote(command)}"


def torchrun(command: str, *, workers: int = 2, restarts: int = 0, monitor_s: float = 0.02) -> str:
    """torchrun's agent: hands TERM on and says 1 whatever its workers say. A worker that fails, by
    85 as well, is started again in place while `restarts` last; else the others get TERM. It looks
    at its workers every `monitor_s`."""
    program = textwrap.dedent(
        """
        import os, signal, subprocess, sys, time
        command, count, restarts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
        workers = []
        def begin():
            for index in range(count):
                words = ["bash", "-c", "exec " + command]
                workers.append(subprocess.Popen(words, env=dict(os.environ, LOCAL_RANK=str(index))))
        def stop(*_):
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
            sys.exit(1)
        signal.signal(signal.SIGTERM, stop)
        begin()
        while True:
            codes = [worker.poll() for worker in workers]
            if all(code == 0 for code in codes):
                sys.exit(0)
            if any(codes):
                if not restarts:
                    stop()
                restarts -= 1
                for worker in workers:
                    worker.terminate()
                    worker.wait()
                workers.clear()
                begin()
            time.sleep(float(sys.argv[4]))
        """
    )
    words = f"{shlex.quote(command)} {workers} {restarts} {monitor_s}"
    made = f'd=$(mktemp -d); printf %s {shlex.quote(program)} > "$d/torchrun"; '
    return f'{made}{PYTHON} "$d/torchrun" {words}'
