#!/bin/bash
#SBATCH --job-name=tokenize
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=64
#SBATCH --time=8:00:00
python tokenize.py
