"""What a pool's agent watches and may do, from the `mars.yaml` in its data folder."""

from pathlib import Path

from parkade.agent.health import HealthPlan
from parkade.mars.pool_file import (
    NAME,
    BadPoolFile,
    policy_of_pool,
    read_pool_file,
    repairs_of_pool,
    sensors_of_pool,
    shared_sensors_of_pool,
    surroundings_of_pool,
)
from parkade.ports import Clock
from parkade.sensors.clock import HeardClock
from parkade.service.settings import BadSettings
from parkade.wire.yaml import Unreadable


def health_plan(data_folder: Path, clock: Clock, heard: HeardClock) -> HealthPlan | None:
    """None where there is no such file: then nothing is watched and nothing done. `heard` is the
    server's time, beside which this machine's clock is read. BadSettings, with every fault, where
    the file cannot be used."""
    path = data_folder / NAME
    if not path.exists():
        return None
    try:
        file = read_pool_file(path)
        return HealthPlan(
            sensors=sensors_of_pool(file, heard.read),
            shared=shared_sensors_of_pool(file, engine_folder=data_folder / "engine"),
            surroundings=surroundings_of_pool(file),
            policy=policy_of_pool(file, data_folder),
            every_s=file.every.total_seconds(),
            repairs=repairs_of_pool(file, engine_folder=data_folder / "engine", clock=clock),
        )
    except (BadPoolFile, Unreadable, OSError) as error:
        raise BadSettings(f"{path}: {error}") from error
