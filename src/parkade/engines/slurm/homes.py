"""What lies in the folder of an attempt on Slurm, and whose it is.

The folder itself is the agent's: `launch.json`, `order.json`, `signals.json`, `submissions.json`
and, once the seats are free, `end.json`. The user reads them and writes only into `job/`, which is
its own: a copy of the launch, the head's files, and a folder for each node. What the user could
write is believed of its own attempt, never of seats. Where the agent is not root, `job/` and the
checkpoint folder have its group, by which it reads them; all others are kept out.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from parkade.engines.local import records
from parkade.engines.local.folders import Folders
from parkade.engines.local.records import Launch
from parkade.engines.local.validation import folder_name
from parkade.engines.slurm import gathering, signals
from parkade.engines.slurm.acting import Acting
from parkade.engines.slurm.gathering import Gathering
from parkade.engines.slurm.member import NODES
from parkade.ports import EngineError, ObservedAttempt

logger = logging.getLogger(__name__)

SUBMISSIONS = "submissions.json"
END = "end.json"
READABLE = 0o644


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One `sbatch`: the word that marks its job, when it was sent, and the job's number once it is
    known."""

    nonce: str
    at_us: int
    job: int | None


class Homes(Folders):
    """The folders of a Slurm pool."""

    def __init__(self, data: Path, acting: Acting) -> None:
        super().__init__(data, has_other_users=os.geteuid() == 0 or acting.launcher is not None)
        if acting.launcher is not None:
            # It may be the folder of an agent that had no launcher.
            self.data.chmod(self.mode)
        self.acting = acting

    def furnish(self, fresh: Path, launch: Launch) -> None:
        """Also makes the user's part. Files that others wait for are there from the start, because
        file systems of several machines remember for a while that a file is not there."""
        super().furnish(fresh, launch)
        os.chmod(fresh / f".{records.ORDER}.spare", READABLE)  # noqa: PTH101
        for name in (records.ORDER, signals.FILE):
            (fresh / name).touch(READABLE)
            (fresh / name).chmod(READABLE)
        files: dict[str, str | None] = {
            records.LAUNCH: _text(launch),
            gathering.FILE: _text(Gathering()),
            NODES: None,
        }
        for node in nodes_of(launch):
            folder = f"{NODES}/{folder_name(node, key='node')}"
            files |= {folder: None, f"{folder}/{records.STATE}": _text(records.nothing_yet(launch))}
        self.acting.make(fresh, "job", files, launch.account if launch.is_other_user else None)

    def make_checkpoints(self, launch: Launch) -> None:
        """See `Folders`."""
        path = Path(launch.checkpoint_dir)
        if not launch.is_other_user or self.acting.launcher is None:
            super().make_checkpoints(launch)
        elif not path.exists():
            self.acting.make(path.parent, path.name, {}, launch.account)

    def clear(self, workload: Path) -> None:
        """See `Folders`. Raises EngineError where the launcher does not do it."""
        if self.acting.launcher is not None:
            workload.parent.chmod(self.mode)
        for folder in (*sorted(workload.glob("attempts/*/job")), workload / "checkpoints"):
            self.acting.clear(folder)

    def _drop(self, home: Path) -> None:
        try:
            self.acting.clear(home / "job")
        except EngineError as error:
            logger.warning("%s is not cleared: %s", home, error)
        super()._drop(home)


def _text(value: object) -> str:
    return f"{msgspec.json.encode(value).decode()}\n"


def nodes_of(launch: Launch) -> tuple[str, ...]:
    """The nodes of an attempt, that of rank 0 first."""
    return tuple(dict.fromkeys(seat.node for seat in launch.attempt.ranks))


def node_folder(home: Path, node: str) -> Path:
    """Where the member of a node writes."""
    return home / "job" / NODES / folder_name(node, key="node")


def read_submissions(home: Path) -> tuple[Submission, ...]:
    """In order; none where nothing was submitted."""
    content = records.read_bounded(home / SUBMISSIONS)
    try:
        kind = tuple[Submission, ...]
        return () if content is None else msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError:
        return ()


def number_of(submissions: Sequence[Submission]) -> int:
    """How many there were, though only the last ones are kept: the word of each ends with it."""
    return max((int(one.nonce.partition(".")[2]) for one in submissions), default=0)


def read_end(home: Path) -> ObservedAttempt | None:
    """How it ended; None while its seats are not free."""
    content = records.read_bounded(home / END)
    try:
        return None if content is None else msgspec.json.decode(content, type=ObservedAttempt)
    except msgspec.DecodeError:
        return None


def claimed_by(home: Path) -> int | None:
    """The job that runs the attempt, or ran it."""
    content = records.read_bounded(home / "job" / gathering.CLAIM, most_bytes=64) or b""
    return int(content) if content.strip().isdigit() else None
