#!/bin/bash
#SBATCH --nodes=2
#SBATCH --gpus=8
#SBATCH --ntasks=8
#SBATCH --gpus-per-task=1
#SBATCH --time=UNLIMITED
#SBATCH --comment="jax distributed"

srun --ntasks=8 --ntasks-per-node=4 python -c 'import jax; jax.distributed.initialize()'
