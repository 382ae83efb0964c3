"""How properties are tried, how logs look, and the servers that tests share.

Properties try the same examples on every run, unless asked to search: `HYPOTHESIS_PROFILE=long`
searches at length with fresh randomness; a failing example it finds becomes a named case in the
test it broke.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.api.town import Town
from tests.api.town import town as running

# Servers that tests start run their workloads also where the tests run as root.
os.environ["PARKADE_SERVER_ROOT_WORKLOADS"] = "true"

settings.register_profile(
    "default", max_examples=40, derandomize=True, deadline=None, database=None
)
settings.register_profile(
    "long",
    max_examples=2_000,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# A shell starts what it puts into the background with SIGINT ignored, which programs that tests
# start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

HANDLERS = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """A worker that ended in this process ignores signals from then on, and every process that a
    later test starts would too."""
    for number, handler in HANDLERS.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Logs in plain lines, without colours or times, whatever a test before made of them. They go
    to the process's own stderr, since a server's thread must not write into a command's output."""
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
    )


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One server for all tests of a process."""
    with running(tmp_path_factory.mktemp("town")) as found:
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Town]:
    """A new server, for tests that need the market alone."""
    with running(tmp_path) as found:
        yield found
