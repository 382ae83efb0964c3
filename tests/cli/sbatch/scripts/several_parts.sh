#!/bin/bash
#SBATCH --ntasks=1 --cpus-per-task=8
#SBATCH hetjob
#SBATCH --ntasks=4 --gpus-per-task=1
srun --het-group=0,1 ./coupled
