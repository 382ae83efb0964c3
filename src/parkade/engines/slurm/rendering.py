"""Words what each rank of an attempt runs and finds, for those who read what Slurm is sent."""

import shlex

from parkade.engines.local import environment, spawn
from parkade.engines.local.records import Launch


def each_rank(launch: Launch) -> str:
    """Comment lines below the batch script."""
    attempt, gang = launch.attempt, launch.member
    assert gang is not None
    lines = [
        f"# user: {launch.account.name}",
        f"# workdir: {environment.at_home(attempt.workdir, launch.account.home)}",
        f"# env_file: {attempt.env_file or 'none'} (read on the node as the user, never shown)",
        f"# the step: {shlex.join(launch.step or ('srun',))}",
        f"# each rank: {spawn.rank_words(launch, attempt.command)!r}",
    ]
    lines += [f"#   {key}={value}" for key, value in sorted(environment.base(launch).items())]
    for rank, (seat, address) in enumerate(zip(gang.seats, gang.addresses, strict=True)):
        lines.append(f"# rank {rank} on {seat.node} ({address}) with {seat.gpus} GPUs")
    return "\n".join(lines) + "\n"
