#!/bin/bash
#SBATCH --gpus-pre-node=8
#SBATCH --time=tomorrow
#SBATCH --begin=20:00
#SBATCH --nodes 2 gpu
#SBATCH --account=<your account>
#SBATCH --job-name="unfinished
 #SBATCH --mem=1G
python train.py
