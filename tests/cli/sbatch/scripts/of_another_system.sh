#!/bin/bash
#PBS -l walltime=01:00:00
#SBATCH --gpus=1
#SBATCH --time=1:00:00
jid=$(sbatch --parsable next.sh)
python train.py
#SBATCH --nodes=4
