"""Checks whether administrators let in the users whose workloads an agent is to run.

With a launcher these are the members of its group. Slurm's other users are named, as they may be
meant as well. As root, the agent may run any of Slurm's users.

Slurm is asked once for all associations. Users with the same ones get the same answer, so a job of
one of them is tried (`sbatch --test-only`): a thousand users of one account are one try. Where
Slurm enforces associations, its word on that job counts, for it may not show all of them to us;
where it does not, it takes a job of any user, and counts it under an account of its choice.
"""

import getpass
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from parkade.core.units.phrases import counted
from parkade.engines.slurm import admitting, owners
from parkade.engines.slurm.admitting import ACCOUNT, Association, named
from parkade.engines.slurm.commands import Runner
from parkade.engines.slurm.doctor_options import Bad, read_conf, refusal
from parkade.engines.slurm.settings import SlurmSettings

MOST_TRIED = 8
"""Kinds of users, those of most users first."""

Known = Mapping[str, tuple[Association, ...]]


def guests(settings: SlurmSettings, commands: Runner) -> str:
    """How many users are in the account of guests, and which are not in it or in the launcher's
    group. Bad where a user's work could not run, or counts against an owner's limit."""
    known = admitting.associations(commands)
    if not known:
        return "Slurm tells of no accounts"
    people = {user for user in known if admitting.is_person(user)}
    is_root, group = os.geteuid() == 0, None
    outside: tuple[str, ...] = ()
    users = people if is_root else {getpass.getuser()}
    if settings.launcher is not None and not is_root:
        group = read_conf(Path(settings.launcher)).get("group", "")
        outside = admitting.outside(group, people)
        users = set(admitting.members(group)) | (people - set(outside))
    kinds = _kinds(known, users, settings.account)
    if not is_root:
        faults = tuple(_judge(settings, commands, kinds, by_launcher=group is not None))
        if faults:
            raise Bad("; ".join(faults))
    if settings.account is None:
        return _without_account(settings)
    lacking = [user for kind in kinds if is_root and not kind.is_in for user in kind.users]
    number = len(users) - len(lacking)
    if not number and not settings.root_workloads and admitting.is_enforced(commands):
        raise Bad(
            f"no user is in the account {settings.account}, so no guest starts: sacctmgr -i add"
            f" user USER account={settings.account}, for each whose work may run"
        )
    verb = "is" if number == 1 else "are"
    says = f"{counted(number, 'user')} {verb} in the account {settings.account}"
    says += f"; not in it: {named(lacking)}" if lacking else ""
    says += f"; not in the group {group}: {named(outside)}" if outside else ""
    more = len(kinds) - MOST_TRIED
    return says + (f"; {more} more kinds of users were not tried" if more > 0 else "")


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    """Users whom Slurm answers the same, in order; `is_in`: they are in the account of guests."""

    users: tuple[str, ...]
    is_in: bool


def _kinds(known: Known, users: Iterable[str], account: str | None) -> list[_Kind]:
    """Those that the account lacks first, then those of most users."""
    found: dict[tuple[Association, ...], list[str]] = {}
    for user in sorted(users):
        own = known.get(user, ())
        counts = tuple(one for one in own if account in (None, one.account))
        found.setdefault(counts, []).append(user)
    kinds = [
        _Kind(users=tuple(users), is_in=bool(own) or account is None)
        for own, users in found.items()
    ]
    return sorted(kinds, key=lambda it: (it.is_in, -len(it.users)))


def _judge(
    settings: SlurmSettings, commands: Runner, kinds: Sequence[_Kind], *, by_launcher: bool
) -> Iterator[str]:
    """What is wrong, in words; a job of each kind is tried."""
    is_enforced = admitting.is_enforced(commands)
    for kind in kinds[:MOST_TRIED]:
        why = refusal(settings, commands, kind.users[0] if by_launcher else None)
        who = named(kind.users)
        if kind.is_in and why is not None:
            yield f"Slurm refuses the jobs of {who}: {why}"
        elif not kind.is_in and not (is_enforced and why is None):
            follows = (
                "else their jobs count against the limits of their default accounts"
                if why is None
                else f"until then their jobs wait ({why})"
            )
            yield (
                f"not in the account {settings.account}: {who}; sacctmgr -i add user USER"
                f" account={settings.account}, for each: {follows}"
            )


def _without_account(settings: SlurmSettings) -> str:
    try:
        rules = owners.parse_rules(settings.owners)
    except ValueError:
        rules = ()
    if any(rule.kind == "account" for rule in rules):
        raise Bad(
            "no option account: guests run in the default accounts of their users, and use up the"
            f" limits of owners among these; make one (sacctmgr -i add account {ACCOUNT}), let each"
            f" user in, and give the agent account={ACCOUNT}"
        )
    return "no option account: guests run in the default accounts of their users"
