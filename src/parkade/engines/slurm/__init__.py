"""The engine of a Slurm cluster, by its commands: `sbatch`, `squeue`, `sinfo`, `scancel`.

Placement, price and reclaim are ours; launch, clean-up and device isolation are Slurm's. An attempt
is one batch job on the nodes that were chosen for it. On each node a *member* keeps the ranks there
as the local engine's keeper does, so receivers, notices, deadlines, leases and exits are the same
code. The *head*, which is the batch script, lets them start together and end together. The pool's
data folder lies on a file system that agent and nodes share; it is how they speak.
"""
