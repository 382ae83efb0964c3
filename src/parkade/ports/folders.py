"""Readers of output, and what an engine keeps on disk of workloads that have ended."""

import msgspec


class LogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A reader wants a rank's output from a byte offset on; the pool's agent sends it chunk by
    chunk. `follow`: it goes on until the attempt has released its seats. An attempt of another org,
    or ordered before `since_us`, is not the one that is meant; None: not looked at. `at_us`: not
    the output is asked for, but where in it stands what came at that instant or later; it is
    answered by a `LogPlace` as the only chunk."""

    request: str
    attempt: str
    rank: int
    offset: int
    follow: bool
    org: str | None = None
    since_us: int | None = None
    at_us: int | None = None


class LogPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where output begins that came at an instant or later. The first three repeat what was asked:
    an agent of before sends output instead. `refused`: why it is not known; None: it is."""

    attempt: str
    rank: int
    at_us: int
    offset: int = 0
    refused: str | None = None


class WorkloadFolder(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine keeps on disk of a workload that it runs no attempt of: its checkpoints and
    output. `launches`: the first and the last launch that are known of it, as (attempt, journal's
    sequence or None, date). `until_us`: what was told before of how long it is kept."""

    workload: str
    org: str
    launches: tuple[tuple[str, int | None, int | None], ...]
    until_us: int | None = None


class KeptOfOrg(msgspec.Struct, frozen=True, kw_only=True):
    """How many folders of workloads that have ended an engine keeps of an org, and what they
    hold; `is_counted` false: they hold more, for some are too large to be counted."""

    org: str
    folders: int
    bytes: int
    is_counted: bool


class FolderLook(msgspec.Struct, frozen=True, kw_only=True):
    """Folders that an engine asks about. `kept`: what it keeps in all, where it has looked at
    everything since it was told last."""

    folders: tuple[WorkloadFolder, ...]
    kept: tuple[KeptOfOrg, ...] | None


class FolderReport(msgspec.Struct, frozen=True, kw_only=True):
    """An agent asks until when it shall keep each of some folders. `kept`: None where it has not
    looked at all of them yet."""

    pool: str
    folders: tuple[WorkloadFolder, ...]
    kept: tuple[KeptOfOrg, ...] | None


class FolderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Until when a folder is kept; None: it is needed, kept for ever, or not of this journal.
    `is_due`: it shall be deleted now."""

    workload: str
    org: str
    until_us: int | None
    is_due: bool
