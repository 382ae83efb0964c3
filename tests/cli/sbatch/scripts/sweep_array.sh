#!/bin/bash
#SBATCH --job-name=sweep
#SBATCH --array=0-15%4
#SBATCH --gres=gpu:a100:1
#SBATCH --time=06:00:00
#SBATCH --output=out/%A_%a.log

RATES=(0.1 0.03 0.01 0.003)
rate=${RATES[$((SLURM_ARRAY_TASK_ID % 4))]}
python sweep.py --lr "$rate" --seed "$((SLURM_ARRAY_TASK_ID / 4))" \
  --of "$SLURM_ARRAY_TASK_COUNT" --last "$SLURM_ARRAY_TASK_MAX"
