"""Finds the users whom an administrator has not let in yet, where guests run as themselves.

A guest's job counts under its user's association with the account of the agent's option `account`.
Without that option, or without such an association, Slurm refuses the job or counts it under the
user's default account, which may be an owner's: then it uses up the owner's limit. With a launcher
the user also has to be in the launcher's group.
"""

import grp
import os
import pwd
from collections.abc import Iterable

import msgspec

from parkade.core.units.names import SYSTEM_UNIX_NAMES, UNIX_NAME
from parkade.core.units.phrases import some_of
from parkade.engines.slurm.commands import Runner
from parkade.ports import EngineError

ACCOUNT = "parkade"
"""The account of guests, where none is named."""
GROUP = "parkade-users"
"""The launcher's, where none is named."""
MOST_NAMED = 10


class Association(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Under what Slurm counts a user's jobs. `partition`: the only one that it is for, empty for
    any; `qos`: what it may use."""

    account: str
    partition: str = ""
    qos: tuple[str, ...] = ()


def is_person(user: str) -> bool:
    """Whether workloads may run as that user."""
    return UNIX_NAME.accepts(user) and user not in SYSTEM_UNIX_NAMES


def members(group: str) -> tuple[str, ...]:
    """Of a Unix group, those that are named in it; none where there is no such group."""
    try:
        return tuple(sorted(set(grp.getgrnam(group).gr_mem) - {"root"}))
    except KeyError:
        return ()


def outside(group: str, users: Iterable[str]) -> tuple[str, ...]:
    """Those users of this machine who are not in the group, in order."""
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:
        wanted = -1
    return tuple(user for user in sorted(users) if wanted not in _groups_of(user, wanted))


def _groups_of(user: str, otherwise: int) -> list[int]:
    """`otherwise` alone where this machine does not know the user."""
    try:
        return os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
    except (KeyError, ValueError):
        return [otherwise]


def associations(commands: Runner) -> dict[str, tuple[Association, ...]] | None:
    """Of each user, in order; None where Slurm does not say. One command."""
    words = ("sacctmgr", "-n", "-P", "show", "assoc", "format=account,user,partition,qos")
    try:
        lines = commands.run(*words).decode(errors="replace").splitlines()
    except EngineError:
        return None
    found: dict[str, list[Association]] = {}
    for line in lines:
        account, user, partition, qos = (line.split("|") + [""] * 4)[:4]
        if account and user:
            one = Association(account=account, partition=partition, qos=_listed(qos))
            found.setdefault(user, []).append(one)
    return {user: tuple(sorted(its)) for user, its in found.items()}


def is_enforced(commands: Runner) -> bool:
    """Whether Slurm refuses a job whose user has no association (`AccountingStorageEnforce`)."""
    try:
        text = commands.run("scontrol", "show", "config").decode(errors="replace")
    except EngineError:
        return False
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "AccountingStorageEnforce":
            return value.strip().lower() not in ("none", "(null)", "")
    return False


def _listed(words: str) -> tuple[str, ...]:
    return tuple(sorted(filter(None, words.split(","))))


def named(users: Iterable[str]) -> str:
    """Some of them, as words."""
    return some_of(sorted(users), MOST_NAMED)
