#!/bin/bash
#SBATCH --nodes=2-8
#SBATCH --gpus-per-node=8
#SBATCH --time=1-00

srun bash -c 'python worker.py $SLURM_NODEID of $SLURM_NNODES'
