"""Keeps the one reservation of Slurm that is a pool's fence: made, put off, released, opened.

Theory of operation
-------------------
Every date of the fence is of one clock, the controller's: its end is set as a date, reckoned from
what the controller says the time is, and kept in the agent's folder. The agent's own steady clock
says only how long ago that was. So no step of any clock looks like a person's doing:

    the fence ends   what it means
    as kept          nothing happened; it is put off every `PUT_OFF_US`
    later            a person lengthened it; the next time it is put off by us again
    as before that   and another controller answers than the one that was told: that one was killed
                     before it saved our last change, which is made anew
    earlier          a person released it: it is not put off, the guests are told, and no guest is
                     seated in it until a new one stands
    (gone)           it ended, or a person deleted it before: a new one is made, and a deletion is
                     logged and told for a while, because `EndTime` is the way to release it

What is kept outlives the agent, so another one on the same folder holds to a person's release. It
is written after Slurm did it: an agent that dies between the two finds the fence ending later than
kept, and never takes its own end for a person's. A controller is known by when it was started
(`BOOT_TIME`), so an end that a person happens to set to exactly our last but one is a release.

Example: at 12:00:00 by the controller the end is set to 12:13:20 for a lapse of 800 s, at 12:00:30
to 12:13:50. A person says `EndTime=now+120` at 12:00:40. The next look reads 12:02:40, earlier than
12:13:50: the guests have until 12:02:40.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from parkade.core.fleet.pool import TakenNode
from parkade.engines.local import records
from parkade.engines.local.clocks import monotonic_us
from parkade.engines.slurm import standing_reservation
from parkade.engines.slurm.commands import Runner
from parkade.engines.slurm.fence_users import FenceUsers, is_about_users
from parkade.engines.slurm.standing_reservation import Standing
from parkade.ports import EngineError

logger = logging.getLogger(__name__)

FILE = "fence.json"
PUT_OFF_US = 30_000_000
"""So often an end is put off, of a long lapse; less than the slack of the lapse."""
SECOND_US = 1_000_000
SHOWN_US = 600_000_000
"""So long it is told that a person deleted the fence."""
FIRST_PAUSE_US = 1_000_000
MOST_PAUSE_US = 30_000_000


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the fence beyond what Slurm says, by the controller's clock. `since_us`:
    when an agent on this folder first had it; `ends_us`: as an agent set it last; `before_us`: the
    end until then; 0: never. `booted_us`: when the controller was started that was told so; 0: not
    known."""

    version: int = 1
    since_us: int = 0
    ends_us: int = 0
    before_us: int = 0
    booted_us: int = 0


class Fence:
    """One pool's fence; `nodes` are all of the pool. Blocks; one call at a time. `recalled_us`:
    when the guests are to be gone because a person released it; `fenced`: nodes on which our jobs
    must be in it to run; `refused`: what Slurm said when it last refused to make or change it;
    `made`: how often it was made, or let users in."""

    def __init__(
        self,
        name: str,
        nodes: Iterable[str],
        commands: Runner,
        folder: Path,
        *,
        steady: Callable[[], int] = monotonic_us,
    ) -> None:
        self.name = name
        self.nodes = tuple(sorted(nodes))
        self.commands = commands
        self.steady = steady
        self.stands = False
        self.recalled_us: int | None = None
        self.fenced: frozenset[str] = frozenset()
        self.kept = _read(folder / FILE)
        self.refused: str | None = None
        self.made = 0
        self.users = FenceUsers(lambda users: self._ask("update", f"Users={users}"), steady)
        self._again_us = 0
        self._pause_us = 0
        self._released_us: int | None = None
        self._stood = False
        self._deleted_us: int | None = None
        self._file = folder / FILE
        self._put_off_us: int | None = None
        self._lapse_us = 0
        self._booted_us = 0

    def note(self, standing: Standing | None) -> None:
        """As it is: without a control plane it is left to its end."""
        self.fenced = frozenset() if standing is None else frozenset(standing.nodes)
        self._stood = standing is not None
        self.stands = set(self.nodes) == self.fenced

    def keep(
        self,
        standing: Standing | None,
        users: tuple[str, ...],
        lapse_us: int,
        *,
        opened: frozenset[str] = frozenset(),
    ) -> None:
        """It stands, with an end `lapse_us` from now, unless a person released it. `opened`: nodes
        that are left out; where those are all, it goes."""
        nodes = [node for node in self.nodes if node not in opened]
        if standing is None and self._stood:
            self._note_deletion()
        self._stood = standing is not None and bool(nodes)
        self.fenced = frozenset(nodes)
        if not nodes:
            self._released_us = None
            self.stands = standing is None or self._run("delete")
            return
        if standing is None:
            self._make(nodes, users, lapse_us)
            return
        if not self.kept.ends_us:
            # Of an agent whose folder was lost: how it ends is taken as that one's doing.
            self._keep(since_us=self._clock_us(), ends_us=standing.ends_us, before_us=0)
        is_forgotten = self._is_forgotten(standing.ends_us)
        if standing.ends_us < self.kept.ends_us and not is_forgotten:
            self.recalled_us = self._released_us = standing.ends_us
            self.stands = False
            return
        self.recalled_us = self._released_us = None
        has_nodes = sorted(standing.nodes) == nodes
        changes = [] if has_nodes else [f"Nodes={','.join(nodes)}"]
        is_due = is_forgotten or self._is_due(lapse_us)
        ends_us = self._end_us(lapse_us) if is_due else None
        if ends_us is not None:
            changes.append(f"EndTime={_date(ends_us)}")
        is_done = not changes or self._run("update", *changes, users=users)
        if is_done and ends_us is not None:
            self._set(ends_us, lapse_us, before_us=standing.ends_us)
        self.stands = is_done or has_nodes
        if is_done and self.users.admit(users, standing.users):
            self.made += 1

    def open(self, standing: Standing | None, busy: Iterable[str]) -> None:
        """The fence goes from each node once no guest runs there in it; `busy`: nodes with one."""
        self.stands = self._stood = False
        self.recalled_us = self._released_us = None
        left = frozenset(busy) & frozenset(() if standing is None else standing.nodes)
        self.fenced = left
        if standing is not None and not left:
            self._run("delete")
        elif standing is not None and left != set(standing.nodes):
            self._run("update", f"Nodes={','.join(sorted(left))}")

    def closed(self) -> Iterator[TakenNode]:
        """Nodes that no newcomer takes, because a person released the fence and no new one stands
        yet."""
        if (why := self.release()) is not None:
            yield from (TakenNode(node=node, job=why) for node in sorted(self.fenced))

    def release(self) -> str | None:
        """What is told of a fence that a person released, until a new one stands."""
        if self._released_us is None:
            return None
        return f"the fence was released: it ends at {_date(self._released_us)} UTC"

    def deletion(self) -> str | None:
        """What is told of a fence that was deleted lately."""
        if self._deleted_us is None or self.steady() - self._deleted_us >= SHOWN_US:
            return None
        return (
            f"{self.name} was deleted before its end, by no agent, and is made anew: jobs of others"
            f" may have come in between; to release it set its end, see `parkade pool fence`"
        )

    def _note_deletion(self) -> None:
        """It stood at the last look and is gone."""
        if self._clock_us() < (self._released_us or self.kept.ends_us):
            self._deleted_us = self.steady()
            logger.warning("fence %s: %s", self.name, self.deletion())

    def _make(self, nodes: Sequence[str], users: tuple[str, ...], lapse_us: int) -> None:
        self.recalled_us = None
        ends_us = self._end_us(lapse_us)
        self.stands = self._create(nodes, users, ends_us)
        if self.stands:
            self.made += 1
            self._released_us = None
            self._set(ends_us, lapse_us, before_us=self.kept.ends_us)

    def _create(self, nodes: Sequence[str], users: tuple[str, ...], ends_us: int) -> bool:
        """For all users; where Slurm does not take one of them for root alone, until the next look
        lets in the others."""
        if self._is_pausing():
            return False
        place = f"Nodes={','.join(nodes)}"
        times = ("StartTime=now", f"EndTime={_date(ends_us)}", "Flags=IGNORE_JOBS")
        says = self._ask("create", place, f"Users={','.join(users)}", *times)
        if says is not None and is_about_users(says):
            says = self._ask("create", place, "Users=root", *times)
        return self._is_done("create", says)

    def _is_forgotten(self, ends_us: int) -> bool:
        """Whether the controller lost our last change of the end. Asks for its start, where that
        alone decides; what was once taken for a person's doing stays that."""
        if not 0 < ends_us == self.kept.before_us or ends_us == self._released_us:
            return False
        self._clock_us()
        return self._booted_us != self.kept.booted_us or not self.kept.booted_us

    def _is_due(self, lapse_us: int) -> bool:
        if self._put_off_us is None or lapse_us != self._lapse_us:
            return True
        return self.steady() - self._put_off_us >= min(lapse_us // 8, PUT_OFF_US)

    def _end_us(self, lapse_us: int) -> int:
        return (self._clock_us() + lapse_us) // SECOND_US * SECOND_US

    def _clock_us(self) -> int:
        answer = self.commands.run("scontrol", "show", "config")
        self._booted_us = standing_reservation.booted_us(answer)
        return standing_reservation.clock_us(answer)

    def _set(self, ends_us: int, lapse_us: int, *, before_us: int) -> None:
        self._put_off_us, self._lapse_us = self.steady(), lapse_us
        since_us = self.kept.since_us or ends_us - lapse_us
        self._keep(since_us=since_us, ends_us=ends_us, before_us=before_us)

    def _keep(self, *, since_us: int, ends_us: int, before_us: int) -> None:
        self.kept = Kept(
            since_us=since_us, ends_us=ends_us, before_us=before_us, booted_us=self._booted_us
        )
        try:
            records.write(self._file, self.kept)
        except OSError as error:
            logger.warning("%s is not written, so another agent would not know: %s", FILE, error)

    def _is_pausing(self) -> bool:
        return self.refused is not None and self.steady() < self._again_us

    def _run(self, verb: str, *words: str, users: tuple[str, ...] = ()) -> bool:
        """Whether Slurm did it. What it says is told; it is tried again, after longer and longer
        pauses. `users`: who needs the fence, where a user of it may be why it is refused."""
        if self._is_pausing():
            return False
        says = self._ask(verb, *words)
        if says is not None and users and is_about_users(says) and self.users.sort_out(users):
            says = self._ask(verb, *words)
        return self._is_done(verb, says)

    def _is_done(self, verb: str, says: str | None) -> bool:
        if says is None:
            self.refused, self._pause_us = None, 0
            return True
        self._pause_us = min(max(2 * self._pause_us, FIRST_PAUSE_US), MOST_PAUSE_US)
        self._again_us = self.steady() + self._pause_us
        self.refused = says
        pause_s = self._pause_us // SECOND_US
        logger.warning("fence %s: %s, again in %d s: %s", self.name, verb, pause_s, says)
        return False

    def _ask(self, verb: str, *words: str) -> str | None:
        """What Slurm says against it; None: it is done."""
        try:
            self.commands.run("scontrol", verb, f"ReservationName={self.name}", *words)
        except EngineError as error:
            return str(error)
        return None


def _date(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us // SECOND_US, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _read(path: Path) -> Kept:
    try:
        return msgspec.json.decode(records.read_bounded(path) or b"", type=Kept)
    except msgspec.DecodeError:
        return Kept()
