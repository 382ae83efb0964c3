"""Batch scripts of Slurm, submitted as they are: what their options mean as a workload, and what a
script finds on the nodes in place of `srun` and `scontrol`."""
