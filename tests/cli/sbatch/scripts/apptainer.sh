#!/bin/bash
#SBATCH --gpus-per-node=2
#SBATCH --input=answers.txt
#SBATCH --time=2:00:00

read -r first
srun apptainer exec --nv --bind /data image.sif python train.py "$first"
