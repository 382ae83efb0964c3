#!/bin/bash -l
#SBATCH --nodes=2
#SBATCH --gres=gpu:4
#SBATCH --ntasks-per-node=4
#SBATCH --mem=0
#SBATCH --time=0-08:00:00
#SBATCH --signal=SIGUSR1@90
#SBATCH --requeue

conda activate pl
export NCCL_DEBUG=INFO
export PYTHONFAULTHANDLER=1
srun python3 fit.py --devices 4 --num_nodes 2
