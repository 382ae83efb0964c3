"""The kernel's log out of the systemd journal, by a program in journalctl's place and by itself."""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.core.units.time import MINUTE_US
from parkade.ports import LogSensor
from parkade.sensors.kernel_log.from_journal import ENTRIES, RETRY_US, KernelJournal
from parkade.sensors.kernel_log.live import KernelRing
from tests.sensors.ring import HeldRecords
from tests.waits import until

XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
AT_US = 1_700_000_000_000_000
JOURNALCTL = """#!/bin/sh
# Prints a file of entries, those behind a cursor, and with --follow goes on.
cd "$(dirname "$0")"
echo "$@" >> asked
[ -e broken ] && exit 1
after=0 follow=
for word; do
  case "$word" in
    --after-cursor=*) after=$(grep -n -F "\\"${word#*=}\\"" entries | cut -d: -f1) ;;
    --follow) follow=-F ;;
  esac
done
exec tail $follow -s 0.05 -n +$((after + 1)) entries
"""


class Journal:
    """Entries in a file, and a program that prints them as journalctl does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "journalctl"
        self.program.write_text(JOURNALCTL)
        self.program.chmod(0o755)
        (folder / "entries").touch()
        self.written = 0
        self.sensors: list[KernelJournal] = []

    def write(self, message: object = XID) -> None:
        self.written += 1
        entry = {
            "__CURSOR": f"s=4b;i={self.written}",
            "__REALTIME_TIMESTAMP": str(AT_US + self.written),
            "_HOSTNAME": "gpu-1",
            "MESSAGE": message,
        }
        with (self.folder / "entries").open("a") as handle:
            handle.write(json.dumps(entry) + "\n")

    def sensor(self, bookmark: str | None = None) -> KernelJournal:
        made = KernelJournal(node="n1", command=(str(self.program), *ENTRIES[1:]))
        if bookmark is not None:
            made.resume(bookmark)
        self.sensors.append(made)
        return made


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path)
    yield found
    for sensor in found.sensors:
        sensor.close()


def test_a_journal_gives_what_it_holds_and_then_each_line_as_it_comes(journal: Journal) -> None:
    journal.write("Linux version 6.1")
    journal.write()
    sensor: LogSensor = journal.sensor()
    (symptom,) = sensor.poll(AT_US + MINUTE_US)
    assert (symptom.node, symptom.device, symptom.at_us) == ("n1", "0000:3b:00", AT_US + 2)
    assert symptom.evidence.line.startswith("2023-11-14T22:13:20.000002+00:00 gpu-1 kernel: NVRM")
    assert sensor.poll(AT_US + MINUTE_US) == []
    journal.write([*b"\xff NVRM: nobody knows this"])
    journal.write()
    (again,) = until(lambda: sensor.poll(AT_US + MINUTE_US))
    assert (again.at_us, sensor.unknown, sensor.state) == (AT_US + 4, 1, "read")
    assert len((journal.folder / "asked").read_text().splitlines()) == 2, "one program follows"


def test_a_journal_goes_on_behind_its_bookmark(journal: Journal) -> None:
    journal.write()
    first = journal.sensor()
    assert len(first.poll(AT_US + MINUTE_US)) == 1
    mark = first.bookmark
    assert mark is not None
    first.close()
    journal.write()
    again = journal.sensor(mark)
    assert [each.at_us for each in again.reread(AT_US + MINUTE_US)] == [AT_US + 1]
    assert [each.at_us for each in again.poll(AT_US + MINUTE_US)] == [AT_US + 2]
    other = journal.sensor("2f6a-11:42")
    assert len(other.poll(AT_US + MINUTE_US)) == 2, "a ring's bookmark is none of a journal"


def test_a_journal_that_shows_no_kernel_line_may_not_be_read(journal: Journal) -> None:
    sensor = journal.sensor()
    assert sensor.poll(0) == []
    assert sensor.state.startswith("failed") and "no kernel line" in sensor.state
    journal.write()
    assert sensor.poll(RETRY_US - 1) == [], "each try starts a program"
    assert len(sensor.poll(AT_US + MINUTE_US)) == 1
    assert sensor.state == "read"


def test_a_journal_that_fails_says_so_and_is_read_again(journal: Journal) -> None:
    (journal.folder / "broken").touch()
    sensor = journal.sensor()
    sensor.poll(0)
    assert sensor.state.endswith("ended with status 1")
    (journal.folder / "broken").unlink()
    journal.write()
    assert len(sensor.poll(RETRY_US)) == 1
    missing = KernelJournal(node="n1", command=("/no/such/journalctl",))
    missing.poll(0)
    assert "cannot be run" in missing.state


def test_a_ring_that_may_not_be_read_is_told_from_one_that_is_not_there() -> None:
    class Refused(HeldRecords):
        def new(self) -> Iterator[str]:
            raise self.why

        why: OSError = PermissionError(1, "Operation not permitted")

    class Missing(Refused):
        why = FileNotFoundError(2, "No such file")

    ring = KernelRing(node="n1", records=lambda: HeldRecords(["4,1,1,-;x"]))
    assert not ring.is_refused()
    assert len(ring.poll(0)) == 0 and ring.tally.lines == 1, "being asked takes no record"
    assert KernelRing(node="n1", records=lambda: Refused([])).is_refused()
    assert not KernelRing(node="n1", records=lambda: Missing([])).is_refused()


JOURNALD = "/lib/systemd/systemd-journald"
OWN_JOURNALD = f"""mount --bind "$1" /run/log && mkdir -p /run/systemd/journal &&
mount -t tmpfs none /run/systemd && mkdir -p /run/systemd/journal && exec {JOURNALD}"""


@pytest.mark.system
@pytest.mark.skipif(
    os.geteuid() != 0 or not Path(JOURNALD).exists() or shutil.which("journalctl") is None,
    reason="needs root, systemd-journald and journalctl",
)
def test_the_lines_of_a_real_journal_are_those_of_the_kernels_ring(tmp_path: Path) -> None:
    words = ["unshare", "--mount", "sh", "-c", OWN_JOURNALD, "sh", str(tmp_path)]
    (tmp_path / "journal").mkdir()
    server = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    command = (*ENTRIES, "--directory", str(tmp_path / "journal"))
    ring, sensor = KernelRing(node="n1"), KernelJournal(node="n1", command=command)
    try:
        until(lambda: list((tmp_path / "journal").glob("*/system.journal")))
        for number in itertools.count(1):
            sensor.poll(number * RETRY_US)
            if sensor.state == "read":
                break
        ring.poll(0)
        until(lambda: not sensor.poll(0) and sensor.tally.lines >= ring.tally.lines)
        assert sensor.bookmark is not None
    finally:
        ring.close()
        sensor.close()
        server.terminate()
        server.wait(60)
