#!/bin/bash
#SBATCH --nodes=2
#SBATCH --gres=gpu:1
#SBATCH --time=1:00
# The second task fails, and so does the script.

srun --kill-on-bad-exit=1 bash -c '[ "$SLURM_PROCID" = 0 ] && exec sleep 600; exit 3'
