"""What a standby sees of a database's lock, and does about a holder that hangs."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from parkade.ports import StoreError
from parkade.store import LockWatch, PostgresqlLeadership
from tests.waits import PATIENCE_S, until

HOLD = """
import sys, time
from parkade.store import PostgresqlLeadership
held = PostgresqlLeadership(sys.argv[1])
held.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def watch(database: str) -> Iterator[LockWatch]:
    made = LockWatch(database)
    yield made
    made.close()


def holding(address: str) -> "subprocess.Popen[str]":
    """Another process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_lock_of_a_killed_process_is_free(database: str, watch: LockWatch) -> None:
    assert watch.holder() is None
    with holding(database) as process:
        found = watch.holder()
        assert found is not None and f"process {process.pid} " in found.session
        process.kill()
    until(lambda: watch.holder() is None)


def test_a_holder_that_hangs_is_silent_and_one_that_works_is_heard_again(
    database: str, watch: LockWatch
) -> None:
    def silent_s() -> float:
        found = watch.holder()
        assert found is not None and found.silent_s is not None
        return found.silent_s

    with holding(database) as process:
        process.send_signal(signal.SIGSTOP)
        until(lambda: silent_s() > 2.0)
        process.send_signal(signal.SIGCONT)
        until(lambda: silent_s() < 1.0)
        process.kill()


def test_ending_a_holder_frees_the_lock_and_tells_the_holder(
    database: str, watch: LockWatch
) -> None:
    told = threading.Event()
    with holding(database) as process:
        found = watch.holder()
        assert found is not None
        watch.end(found)
        mine = PostgresqlLeadership(database, on_lost=told.set)
        mine.acquire()
        assert mine.is_held()
        process.kill()
    own = watch.holder()
    assert own is not None and own.session != found.session
    # The watch has the same name here, so that it would end itself: ended from elsewhere.
    with holding_terminator(database, own.pid):
        assert told.wait(PATIENCE_S)
    assert not mine.is_held()
    mine.release()


def holding_terminator(address: str, pid: int) -> "subprocess.Popen[str]":
    """Another process that ends a session, as an administrator does."""
    code = (
        "import sys; from parkade.store.lock import connect;"
        "connect(sys.argv[1]).exec_driver_sql(f'SELECT pg_terminate_backend({sys.argv[2]})')"
    )
    return subprocess.Popen([sys.executable, "-c", code, address, str(pid)], text=True)


def test_a_database_that_does_not_answer_is_told() -> None:
    watch = LockWatch("postgresql://parkade@127.0.0.1:9/none")
    with pytest.raises(StoreError, match="could not be opened"):
        watch.holder()
    watch.close()
