"""Words the one command by which root installs the launcher of a Slurm pool. It runs nothing."""

import shlex
from pathlib import Path

from parkade.engines.slurm import launcher

DEFAULT_LOG = "/var/log/parkade-launcher.log"


def install_command(
    *, agent: str, group: str, folder: str, conf: str | None, path: str | None
) -> str:
    """For `sudo`, with a root shell. The file of sudo's rules is checked before it counts; where
    anything fails, nothing after it is done. `conf`: path of slurm.conf, None for Slurm's own;
    `path`: the folder of Slurm's commands, None for a usual one. All are words without blanks and
    quotes."""
    given = {"agent": agent, "group": group, "log": DEFAULT_LOG}
    given |= {} if conf is None else {"slurm_conf": conf}
    given |= {} if path is None else {"path": f"{path}:{launcher.PATH}"}
    rule = f"{agent} ALL=(root) NOPASSWD: {folder}/launcher"
    rules = f"/etc/sudoers.d/parkade-{agent}"
    source = str(Path(launcher.__file__).resolve())
    lines = " ".join(f"{key}={value}" for key, value in given.items())
    steps = (
        "set -e",
        f"getent group {group} >/dev/null || groupadd --system {group}",
        f"install -d -o root -g root -m 0755 {folder}",
        f"install -o root -g root -m 0755 {shlex.quote(source)} {folder}/launcher",
        "umask 022",
        f'printf "%s\\n" {lines} > {folder}/launcher.conf',
        f'echo "{rule}" > {folder}/sudoers',
        f"visudo -cqf {folder}/sudoers",
        f"install -o root -g root -m 0440 {folder}/sudoers {rules}",
    )
    return f"sudo sh -c {shlex.quote('; '.join(steps))}"
