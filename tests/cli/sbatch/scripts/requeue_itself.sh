#!/bin/bash
#SBATCH --job-name=long
#SBATCH --gres=gpu:2
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --output=long.log

requeue() {
  echo "saving and requeueing $SLURM_JOB_ID, restart ${SLURM_RESTART_COUNT:-0}"
  scontrol requeue "$SLURM_JOB_ID"
}
trap requeue USR1

srun python train.py --resume auto &
wait
kill -USR1 $$
