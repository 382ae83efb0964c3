#!/bin/sh
#SBATCH -J probe -p short
#SBATCH -N 1 -n 1 -c 4
#SBATCH --gres gpu:1
#SBATCH -t 90
#SBATCH -o probe.out -e probe.err
echo begun >&2
python -c 'print(1)'
