#!/bin/bash
#SBATCH --array=1,5-20:5
#SBATCH --gpus=1
#SBATCH --time=30:00

line="line ${SLURM_ARRAY_TASK_ID} of job ${SLURM_ARRAY_JOB_ID}"
python evaluate.py "$line"
