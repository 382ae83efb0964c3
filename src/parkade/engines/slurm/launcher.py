#!/usr/bin/python3 -IS
"""Acts as a member of one Unix group, for the agent of a Slurm pool: root's, run by sudo.

`launcher submit USER` (a batch script on stdin; `test` submits nothing) · `cancel USER JOB` · `make
USER FOLDER` (JSON of what is made, on stdin) · `clear USER FOLDER` · `check USER`. As root it reads
`launcher.conf` beside it and writes the log: a call is a line there and in syslog, or is not done.
"""

import grp
import json
import os
import pwd
import signal
import sys
import syslog
import time
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
FIRST_PERSON_UID, NOBODY_UID, MOST_S = 1000, 65_534, 60
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VERBS = {"submit": 0, "test": 0, "cancel": 1, "make": 1, "clear": 1, "check": 0}


def settings() -> dict[str, str]:
    """agent, group, log; perhaps slurm_conf and path. Of files that only root may write."""
    for path in (HERE, HERE / "launcher.conf", Path(__file__).resolve()):
        found = path.stat()
        if found.st_uid != 0 or found.st_mode & 0o022:
            sys.exit(f"not permitted: {path} must be root's, and writable by root alone")
    lines = (HERE / "launcher.conf").read_text().splitlines()
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def note(log: str, verdict: str) -> None:
    """One line that no argument can break, in the log and in syslog."""
    asked = [word[:200] for word in sys.argv[1:6]]
    line = {"by": os.environ.get("SUDO_UID", "root"), "asked": asked, "verdict": verdict}
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(log, flags, 0o600), "w") as file:
        file.write(json.dumps({"at": time.strftime("%FT%TZ", time.gmtime()), **line}) + "\n")
    syslog.openlog("parkade-launcher", facility=syslog.LOG_AUTHPRIV)
    syslog.syslog(syslog.LOG_NOTICE, json.dumps(line))


def refusal(given: dict[str, str], verb: str, user: str, rest: list[str]) -> str | None:
    """Why it is not done; None where it may be."""
    if os.environ.get("SUDO_UID") != str(pwd.getpwnam(given["agent"]).pw_uid):
        return f"only {given['agent']} may ask, by sudo"
    if VERBS.get(verb) != len(rest):
        return f"verbs and their words are: {VERBS}"
    if verb == "cancel" and not (rest[0].isascii() and rest[0].isdigit()):
        return "a job is a number"
    if verb in ("make", "clear") and not rest[0].startswith("/"):
        return "a folder is an absolute path"
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):
        return "there is no such user"
    if entry.pw_uid < FIRST_PERSON_UID or entry.pw_uid == NOBODY_UID:
        return f"{user} is a system user"
    if grp.getgrnam(given["group"]).gr_gid not in os.getgrouplist(user, entry.pw_gid):
        return f"{user} is not in the group {given['group']}"
    return None


def act(given: dict[str, str], verb: str, user: str, rest: list[str]) -> NoReturn:
    """As the user for good, from here on, and for a bounded time."""
    uid, gid = pwd.getpwnam(user)[2:4]
    os.setgroups(os.getgrouplist(user, gid))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    assert os.getresuid() == (uid, uid, uid)
    os.chdir("/")
    os.umask(0o007)
    signal.alarm(MOST_S)
    if verb == "make":
        try:
            for name, text in json.load(sys.stdin).items():
                path = Path(rest[0], name)
                path.mkdir(0o770) if text is None else path.write_text(text)
        except OSError as error:
            sys.exit(f"{error.filename}: {error.strerror}")
        sys.exit()
    words = {"submit": ["sbatch", "--parsable"], "check": ["true"], "cancel": ["scancel", *rest]}
    words["test"] = ["sbatch", "--test-only"]
    words["clear"] = ["find", *rest, "-xdev", "-mindepth", "1", "-delete"]
    named = {key.upper(): given[key] for key in ("path", "slurm_conf") if key in given}
    os.execvpe(words[verb][0], words[verb], {"PATH": PATH, "LANG": "C.UTF-8", "TZ": "UTC"} | named)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("not permitted: it is run by root, by sudo")
    verb, user, *rest = sys.argv[1:] + [""] * (3 - len(sys.argv))
    why = refusal(given := settings(), verb, user, rest)
    note(given["log"], why or "accepted")
    sys.exit(f"not permitted: {why}") if why else act(given, verb, user, rest)
