"""Decides which Unix user an attempt runs as: never root, never a system user, never a guess."""

import os
import pwd

from parkade.engines.local.records import Account
from parkade.ports import InvalidSpec, Transient

FIRST_PERSON_UID = 1000
NOBODY_UID = 65_534
NEEDS_A_NAME = (
    "each workload runs as its own user here, not as the agent's; an operator names the Unix user"
    " of this user's workloads with `parkade user unix-name USER NAME`, or starts the server with"
    " --root-workloads where all is theirs"
)


def resolve(
    unix_user: str | None, *, runs_as_root: bool, has_launcher: bool = False
) -> tuple[Account, bool]:
    """The account, and whether it is another than ours.

    None means: as the agent itself, which is refused where that is root, unless `runs_as_root`,
    and where a launcher lets us be others. Raises InvalidSpec for an account that runs no
    workloads, and Transient where taking on another user would need rights that we do not have: a
    setting of the agent is no fault of the workload, which waits.
    """
    ours = os.geteuid()
    if unix_user is None:
        if has_launcher or (ours == 0 and not runs_as_root):
            raise InvalidSpec(f"unix_user: {NEEDS_A_NAME}")
        return _own_account(ours), False
    try:
        entry = pwd.getpwnam(unix_user)
    except KeyError:
        raise InvalidSpec(f"unix_user: {unix_user} is not known on this machine") from None
    if ours != 0 and not has_launcher:
        if entry.pw_uid != ours:
            raise Transient(
                f"this agent is not root and runs workloads only as itself, not as {unix_user}: an"
                " operator gives it the option launcher, or starts it as root"
            )
        return _account(entry), False
    if entry.pw_uid < FIRST_PERSON_UID or entry.pw_uid == NOBODY_UID:
        raise InvalidSpec(f"unix_user: {unix_user} is a system user; attempts run as people")
    return _account(entry), True


def _own_account(uid: int) -> Account:
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        # Containers run as numbers without a name.
        return Account(name=str(uid), uid=uid, gid=os.getegid(), home="/")


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, home=entry.pw_dir)
