#!/bin/bash
#SBATCH --gpus-per-node=1
#SBATCH --export=NONE,EPOCHS=3,DATASET
#SBATCH --time=10

srun --export=ALL,SEED=7 bash -c 'python run.py $EPOCHS $DATASET $SEED'
