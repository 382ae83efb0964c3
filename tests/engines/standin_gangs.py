"""Stand-ins for gangs of ranks that agree when to save, and for launchers and servers over them.

A *deaf* rank has no handler, like one that still compiles or one on a node that the notice did not
reach.
"""

import shlex
import textwrap

from tests.engines.standins import PYTHON, python

_LISTENS = """
deaf = {deaf!r}
asked = []
def handle(number, frame):
    told(number)
    asked.append(number)
if int(rank) not in deaf:
    signal.signal(signal.SIGTERM, handle)
def leave():
    # Python gives its handlers back before it ends; a signal that comes then would end it.
    os._exit(0)
up()
"""


def gathers(deaf: tuple[int, ...]) -> str:
    """Megatron, AutoModel: flags are gathered at each step, so that one rank is enough."""
    return python(
        _LISTENS.format(deaf=deaf)
        + """
while not os.path.exists(f"{folder}/flag"):
    if asked:
        open(f"{folder}/flag", "w").close()
    time.sleep(0.02)
if rank == "0":
    report()
leave()
"""
    )


def obeys_rank_zero(deaf: tuple[int, ...]) -> str:
    """NeMo's callback: only global rank 0 acts, the others ignore theirs and follow."""
    return python(
        _LISTENS.format(deaf=deaf)
        + """
while not os.path.exists(f"{folder}/stop"):
    if asked and rank == "0":
        report()
        open(f"{folder}/stop", "w").close()
    time.sleep(0.02)
leave()
"""
    )


def meets_at_a_barrier(deaf: tuple[int, ...]) -> str:
    """Hugging Face Trainer: the flag is not shared; a rank that saves waits for all others."""
    return python(
        _LISTENS.format(deaf=deaf)
        + """
while not asked:
    time.sleep(0.02)
open(f"{folder}/arrived.{rank}", "w").close()
while not all(os.path.exists(f"{folder}/arrived.{other}") for other in (0, 1)):
    time.sleep(0.02)
if rank == "0":
    report()
"""
    )


def evaluates(for_s: float) -> str:
    """Has a handler that runs only after an evaluation; then saves."""
    return python(
        f"""
        asked = []
        def handle(number, frame):
            told(number)
            asked.append(number)
        signal.signal(signal.SIGTERM, handle)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        up()
        time.sleep({for_s})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        while not asked:
            time.sleep(0.02)
        report()
        sys.exit(85)
        """
    )


def serves(drain_s: float) -> str:
    """vLLM: the first TERM drains, a second aborts; its engines are in sessions of their own."""
    return python(
        f"""
        import subprocess
        engine = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); "
        engine += "time.sleep(300)"
        words = [sys.executable, "-c", engine]
        engines = [subprocess.Popen(words, start_new_session=True) for _ in range(2)]
        asked = []
        def handle(number, frame):
            told(number)
            asked.append(number)
            if len(asked) > 1:
                os._exit(1)
        signal.signal(signal.SIGTERM, handle)
        up()
        while not asked:
            time.sleep(0.02)
        ends = time.monotonic() + {drain_s}
        while time.monotonic() < ends:
            if any(one.poll() is not None for one in engines):
                os._exit(2)
            time.sleep(0.02)
        for one in engines:
            one.kill()
        report()
        sys.exit(0)
        """
    )


LAUNCHERS = {"torchrun": (True, 0.4), "mpirun": (True, 0.1), "srun": (False, 0.0)}
"""Whether each hands TERM on, and after how many seconds it KILLs; torchrun's 30 s are scaled."""


def kills(name: str, command: str) -> str:
    """A launcher that ends its worker in its own time once it gets TERM, and says 1."""
    hands_on, grace_s = LAUNCHERS[name]
    program = textwrap.dedent(
        f"""
        import signal, subprocess, sys, time
        worker = subprocess.Popen(["bash", "-c", "exec " + sys.argv[1]])
        def stop(*_):
            if {hands_on}:
                worker.terminate()
            try:
                worker.wait({grace_s})
            except subprocess.TimeoutExpired:
                worker.kill()
            sys.exit(1)
        signal.signal(signal.SIGTERM, stop)
        sys.exit(worker.wait())
        """
    )
    made = f'd=$(mktemp -d); printf %s {shlex.quote(program)} > "$d/{name}"; '
    return f'{made}{PYTHON} "$d/{name}" {shlex.quote(command)}'


def dies(rank: int, command: str) -> str:
    """One rank dies of KILL once the file `die` is there; the others run the shell words given.
    Each notes the first notice that it sees."""
    return f"""
        folder=$PARKADE_CHECKPOINT_DIR own=$PARKADE_NODE_RANK
        (until [ -f $PARKADE_NOTICE_FILE ]; do sleep 0.02; done
         cp $PARKADE_NOTICE_FILE $folder/.n.$own && mv $folder/.n.$own $folder/notice.$own) &
        if {of_rank(rank)}; then until [ -f $folder/die ]; do sleep 0.02; done; kill -9 $$; fi
        {command}
        """


def of_rank(rank: int) -> str:
    """A shell's question whether it is that rank."""
    return f"[ $PARKADE_NODE_RANK = {rank} ]"
