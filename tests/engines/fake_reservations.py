"""Slurm's reservations and its controller's clock, as `scontrol` and `scancel` tell of them.

It answers the commands that a fence sends and no others, in the words of Slurm 22.05. Its clock
moves only when a test moves it.
"""

from datetime import UTC, datetime

from parkade.engines.local.records import Account
from parkade.ports import Transient

SECOND_US = 1_000_000
BEGAN_US = 1_795_766_400 * SECOND_US


class FakeSlurm:
    """One controller; `cancelled` are the jobs that were cancelled."""

    def __init__(self) -> None:
        self.now_us = self.booted_us = BEGAN_US
        self.reservations: dict[str, dict[str, str]] = {}
        self.cancelled: list[str] = []
        self.updated: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.refused = 0
        self.lacking: set[str] = set()
        """Users without an association; no reservation that has one of them is changed."""

    def run(self, *words: str, stdin: str = "", account: Account | None = None) -> bytes:
        """As `Commands.run`."""
        assert not stdin and account is None
        if not self.refuses.isdisjoint(words[:2]):
            self.refused += 1
            raise Transient(f"{words[0]}: Access denied")
        match words:
            case ("scontrol", "show", "config"):
                booted = f"BOOT_TIME               = {_date(self.booted_us)}"
                return f"Configuration data as of {_date(self.now_us)}\n{booted}\nX = 1".encode()
            case ("scontrol", "show", "reservation", "--oneliner"):
                self._end()
                return "\n".join(self._line(name) for name in self.reservations).encode()
            case ("scontrol", "create", name, *rest):
                said = self._said(rest)
                self._check_users(said)
                self.reservations[name.partition("=")[2]] = said
            case ("scontrol", "update", job, change) if job.startswith("JobId="):
                self.updated.append((job, change))
            case ("scontrol", "update", name, *rest):
                self._end()
                known = self.reservations.get(name.partition("=")[2])
                if known is None:
                    raise Transient("The reservation is not there")
                self._check_users(said := known | self._said(rest))
                known |= said
            case ("scontrol", "delete", name):
                del self.reservations[name.partition("=")[2]]
            case ("scancel", job):
                self.cancelled.append(job)
            case _:
                raise AssertionError(f"{words} is not known here")
        return b""

    def pass_s(self, seconds: float) -> None:
        """Time passes."""
        self.now_us += int(seconds * SECOND_US)

    def ends_in_s(self, name: str) -> float:
        """Until the reservation's end, by this clock."""
        ends = datetime.fromisoformat(self.reservations[name]["EndTime"]).replace(tzinfo=UTC)
        return ends.timestamp() - self.now_us / SECOND_US

    def _said(self, words: list[str]) -> dict[str, str]:
        said = dict(word.partition("=")[::2] for word in words)
        ends = said.get("EndTime", "")
        if said.get("Duration") == "UNLIMITED":
            said["EndTime"] = _date(self.now_us + 365 * 24 * 3_600 * SECOND_US)
        if ends.startswith("now+"):
            seconds = int(ends.removeprefix("now+").removesuffix("seconds"))
            said["EndTime"] = _date(self.now_us + seconds * SECOND_US)
        return said

    def _check_users(self, said: dict[str, str]) -> None:
        if not self.lacking.isdisjoint(said["Users"].split(",")):
            raise Transient("Invalid account or account/partition combination specified")

    def _end(self) -> None:
        ended = [name for name in self.reservations if self.ends_in_s(name) <= 0]
        for name in ended:
            del self.reservations[name]

    def _line(self, name: str) -> str:
        said = self.reservations[name]
        return (
            f"ReservationName={name} StartTime={_date(BEGAN_US)} EndTime={said['EndTime']}"
            f" Nodes={said['Nodes']} Users={said['Users']} State=ACTIVE"
        )


def _date(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us / SECOND_US, UTC).strftime("%Y-%m-%dT%H:%M:%S")
