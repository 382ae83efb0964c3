"""What each rank finds in its environment, and the reading of `env_file`.

From the weakest to the strongest: a minimal base, the spec's `env`, the user's `env_file`, then
what Parkade sets. Nothing of the server's own environment is handed on.
"""

from pathlib import Path

from parkade.core.units.names import ENV_KEY
from parkade.engines.local import records
from parkade.engines.local.records import Launch, Member
from parkade.engines.local.report import Reading

ENV_FILE_MOST_BYTES = 1024 * 1024


class BadEnvFile(Exception):
    """A line of the env_file is not KEY=VALUE; the message names its number, never its content."""


def base(launch: Launch) -> dict[str, str]:
    """The weakest part, then the spec's own."""
    account = launch.account
    found = {
        "PATH": launch.path,
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "LANG": "C.UTF-8",
    }
    return found | dict(launch.attempt.env)


def rank_variables(launch: Launch, folder: Path, rank: int) -> dict[str, str]:
    """The strongest part: what Parkade sets for this rank."""
    attempt = launch.attempt
    gang = launch.member or _alone(launch)
    return {
        "PARKADE_WORKLOAD": attempt.workload,
        "PARKADE_ATTEMPT": attempt.attempt,
        "PARKADE_NODES": str(len(gang.seats)),
        "PARKADE_NODE_RANK": str(gang.ranks[rank]),
        "PARKADE_NODE_IPS": ",".join(gang.addresses),
        "PARKADE_GPUS": str(attempt.ranks[rank].gpus),
        "PARKADE_SEATS": ",".join(f"{seat.node}:{seat.gpus}" for seat in gang.seats),
        "PARKADE_CHECKPOINT_DIR": launch.checkpoint_dir,
        "PARKADE_NOTICE_FILE": str(folder / records.NOTICE),
        "MASTER_ADDR": gang.addresses[0],
        "MASTER_PORT": str(launch.master_port),
        # The indexes are NVML's; without this CUDA counts the fastest GPU first.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(str(index) for index in launch.devices[rank]),
        **_array_variables(launch),
        **_live_variables(launch, folder),
    }


def _array_variables(launch: Launch) -> dict[str, str]:
    """Which member of its array it is; nothing for a workload of its own."""
    attempt = launch.attempt
    if attempt.array_index is None:
        return {}
    return {
        "PARKADE_ARRAY_INDEX": str(attempt.array_index),
        "PARKADE_ARRAY_COUNT": str(attempt.array_count),
    }


def _live_variables(launch: Launch, folder: Path) -> dict[str, str]:
    """Where it is told which ranks it has."""
    if not launch.attempt.is_live:
        return {}
    return {"PARKADE_MEMBERS_FILE": str(folder / records.MEMBERS)}


def _alone(launch: Launch) -> Member:
    """All ranks of the attempt, on this machine."""
    seats = launch.attempt.ranks
    addresses = tuple(records.LOOPBACK for _ in seats)
    return Member(ranks=tuple(range(len(seats))), seats=seats, addresses=addresses)


def resume_variables(reading: Reading) -> dict[str, str]:
    """Where the newest checkpoint that is whole lies; empty where none is known."""
    step = "" if reading.checkpoint is None else str(reading.checkpoint.step)
    return {
        "PARKADE_RESUME_FROM": "" if reading.path is None else str(reading.path),
        "PARKADE_RESUME_STEP": step,
    }


def marks(launch: Launch, folder: Path) -> tuple[bytes, ...]:
    """Variables that identify a process of the attempt, whatever its parent became."""
    variables = rank_variables(launch, folder, 0)
    return tuple(
        f"{key}={variables[key]}".encode() for key in ("PARKADE_ATTEMPT", "PARKADE_NOTICE_FILE")
    )


def at_home(path: str, home: str) -> str:
    """The path with a leading `~` as the account's home; empty is the home itself."""
    if path in ("", "~"):
        return home
    return f"{home}/{path[2:]}" if path.startswith("~/") else path


def read_env_file(path: str) -> dict[str, str]:
    """KEY=VALUE lines; blank lines and `#` comments are skipped, one pair of quotes is taken off.

    Called in the rank's own process, with the user's rights: its values stay there.
    """
    with Path(path).open("rb") as file:
        content = file.read(ENV_FILE_MOST_BYTES + 1)
    if len(content) > ENV_FILE_MOST_BYTES:
        raise BadEnvFile(f"env_file is larger than {ENV_FILE_MOST_BYTES} bytes")
    found: dict[str, str] = {}
    for number, raw in enumerate(content.split(b"\n"), start=1):
        line = raw.decode("utf-8", "surrogateescape").strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.removeprefix("export ").partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not ENV_KEY.accepts(key) or "\0" in value:
            raise BadEnvFile(f"env_file line {number} is not KEY=VALUE")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[key] = value
    return found
