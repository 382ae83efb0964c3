"""The way of a bid on the page on architecture is the way that a real bid takes.

One bid is submitted, launched, observed, ended and charged in this process: the command line, the
client, the API, the plane and the store are real, and the test plays the agent. Each file below
`src/parkade` in which a function ran in that time must be named on the page.
"""

import itertools
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.control.clock import SystemClock
from parkade.core.workloads.observed import EnginePhase, RankExit
from tests.api.town import Town, town
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "architecture.md"
SOURCE = ROOT / "src" / "parkade"
BESIDE = ROOT / "tests" / "docs" / "beside_the_way.txt"
_FILE = re.compile(r"`((?:[\w-]+/)+[\w-]+\.py)`")
# What only an agent's machine runs; the test plays the agent.
OF_AGENTS = ("agent/", "engines/")
LIVES = 4
MOST_LIVES = 30
# `parkade status` looks at the bid in the middle of its way.
OF_SHOWING = {
    "api/etags.py",
    "cli/choosing.py",
    "cli/login.py",
    "cli/workloads.py",
    "wire/shown.py",
}
# `check` sums the ledger after each event in tests; it is named where it moves money.
NAMED_LATER = {"core/ledger/accounts.py"}
# A look at the writer's clock, before a token is believed; and what waits for others' changes.
NO_STEPS = {"present_us", "wait_until"}


class Passed:
    """The files in which a function is called, in order of the first call, from all threads that
    begin while it records. What the writer did by itself before a bid is entered is no part of its
    way: it clears its market each second."""

    def __init__(self) -> None:
        self.is_on = False
        self.begin()

    def begin(self) -> None:
        """A new bid's way begins."""
        self.files: dict[str, None] = {}
        self._before: set[str] | None = set()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        name = frame.f_code.co_filename
        is_ours = self.is_on and event == "call" and name.startswith(f"{SOURCE}/")
        functions = {frame.f_code.co_name, frame.f_back.f_code.co_name if frame.f_back else ""}
        is_step = not frame.f_code.co_name.startswith("<") and not functions & NO_STEPS
        if is_ours and is_step:
            file = name.removeprefix(f"{SOURCE}/")
            self._note_writer(frame, file)
            self.files[file] = None

    def _note_writer(self, frame: FrameType, file: str) -> None:
        if self._before is None:
            return
        if frame.f_code.co_name == "put" and "WaitingCommand" in repr(frame.f_locals):
            for each in self._before:
                self.files.pop(each, None)
            self._before = None
        elif threading.current_thread().name != "parkade-writer":
            if file in self._before:
                self._before.discard(file)
                del self.files[file]
        elif file not in self.files:
            self._before.add(file)


@contextmanager
def recorded() -> Iterator[Passed]:
    """Calls of this thread and of those that begin in here are recorded while it is on."""
    passed = Passed()
    before = sys.getprofile()
    threading.setprofile(passed)
    sys.setprofile(passed)
    try:
        yield passed
    finally:
        sys.setprofile(before)
        threading.setprofile(before)


def run(*words: str) -> str:
    """What a command line prints."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def life(here: Town, pool: str, spec: Path) -> None:
    """One bid from its submission to its statement."""
    spec.write_text("name: job\ncommand: 'true'\nworkdir: /tmp\n")
    run("submit", "-f", str(spec), "--limit", "2.50", "--market", pool)
    workload = max(here.done(here.get("/workloads"))["workloads"], key=_number)["workload"]
    attempt = here.wait_for_attempt(pool, workload)
    seen = here.running(attempt)
    assert here.observe(pool, seen).is_success
    now_us = SystemClock().now_us()
    exits = (RankExit(rank=0, code=0, signal=None),)
    gone = replace(seen, phase=EnginePhase.RELEASED, released_us=now_us, exits=exits)
    assert here.observe(pool, gone).is_success
    assert "succeeded" in run("status", workload)
    assert "usage" in run("statement")


def _number(workload: dict[str, Any]) -> int:
    return int(workload["workload"].removeprefix("w"))


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The files that each of a few bids passes, in order; one before them warms what is made once.

    The writer may begin a turn of its own at any moment, and does so often on a loaded machine, so
    some of them may have another order in some step; more are lived until each step had the page's
    in one of them.
    """
    folder = tmp_path_factory.mktemp("bid")
    found: list[list[str]] = []
    with recorded() as recorder, town(folder) as here, pytest.MonkeyPatch.context() as patch:
        pool = here.pool()
        _, token = here.org()
        patch.setenv("PARKADE_CONFIG", str(folder / "config.toml"))
        patch.setenv("PARKADE_SERVER", here.url)
        patch.setenv("PARKADE_TOKEN", token)
        life(here, pool, folder / "job.yaml")
        while len(found) < LIVES or (len(found) < MOST_LIVES and always_late(found)):
            recorder.begin()
            recorder.is_on = True
            life(here, pool, folder / "job.yaml")
            recorder.is_on = False
            found.append(list(recorder.files))
    return found


def way() -> list[list[str]]:
    """The files of each step of the page."""
    return [_FILE.findall(row[2]) for row in table(PAGE, "The way of a bid")]


def also() -> list[str]:
    """The smaller files, which the page counts by their folders."""
    return BESIDE.read_text("utf-8").split()


def folder_of(file: str) -> str:
    parts = file.split("/")
    return "/".join(parts[:2]) if parts[0] == "core" else parts[0]


def always_late(lives: list[list[str]]) -> set[tuple[str, str]]:
    """The pairs of files that no bid met in the order of the page."""
    return set.intersection(*(set(out_of_order(passed)) for passed in lives))


def out_of_order(passed: list[str]) -> list[tuple[str, str]]:
    """The files of the core, the plane and the store that a bid met after one of a later step."""

    def is_ordered(name: str) -> bool:
        return name.startswith(("core/", "control/", "store/")) and name not in NAMED_LATER

    places = [[passed.index(name) for name in step if is_ordered(name)] for step in way()]
    steps = [step for step in places if step]
    late = [(max(a), min(b)) for a, b in itertools.pairwise(steps) if max(a) > min(b)]
    return [(passed[a], passed[b]) for a, b in late]


def test_each_file_that_a_real_bid_passes_is_named_on_the_page(lives: list[list[str]]) -> None:
    named = {name for step in way() for name in step} | set(also()) | OF_SHOWING
    assert {name for passed in lives for name in passed} - named == set()


def test_each_file_of_the_way_is_passed_by_a_real_bid(lives: list[list[str]]) -> None:
    steps = {name for step in way() for name in step if not name.startswith(OF_AGENTS)}
    assert all(steps <= set(passed) for passed in lives)


def test_the_core_the_plane_and_the_store_are_met_in_the_order_of_the_page(
    lives: list[list[str]],
) -> None:
    assert always_late(lives) == set()


def test_the_smaller_files_are_there_counted_by_folder_and_none_is_named_twice() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    counted = re.search(r"A bid also passes (\d+) smaller ones", text)
    assert counted is not None and int(counted[1]) == len(also())
    _, _, rest = text.partition(counted[0])
    rows = re.findall(r"(\d+) in `([\w/]+)`", rest.partition("A test sends")[0])
    assert {name: int(files) for files, name in rows} == Counter(map(folder_of, also()))
    assert also() == sorted(set(also()))
    assert [each for each in also() if not (SOURCE / each).is_file()] == []
    assert not set(also()) & {name for step in way() for name in step}
