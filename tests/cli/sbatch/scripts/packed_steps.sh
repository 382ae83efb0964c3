#!/bin/bash
#SBATCH --job-name=four-in-one
#SBATCH --nodes=1
#SBATCH --ntasks=4
#SBATCH --gpus-per-node=4
#SBATCH --time=1:00:00

for seed in 1 2 3 4; do
  srun --exclusive --nodes=1 --ntasks=1 --gres=gpu:1 --output=seed-$seed.log \
    python train.py --seed $seed &
done
wait
echo all done
