#!/bin/bash
#SBATCH --dependency=afterok:12:w13,afterany:prepare
#SBATCH --account=lab
#SBATCH --reservation=acme
#SBATCH --nodes=1
#SBATCH --gpus=4
#SBATCH --hold
#SBATCH --time=45:00

srun -n1 python evaluate.py
