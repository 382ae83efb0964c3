#!/bin/bash
#SBATCH --account=lab
#SBATCH --qos=high
#SBATCH --nodes=2
#SBATCH --ntasks=16
#SBATCH --ntasks-per-node=8
#SBATCH --gres=gpu:8
#SBATCH --constraint="h100&ib"
#SBATCH --switches=1
#SBATCH --mem-per-gpu=200G
#SBATCH --time=3-0
#SBATCH --no-requeue

export CUDA_DEVICE_MAX_CONNECTIONS=1
srun -l --cpu-bind=none --kill-on-bad-exit=1 python pretrain_gpt.py \
  --tensor-model-parallel-size 8 --connections $CUDA_DEVICE_MAX_CONNECTIONS
