#!/bin/bash
#SBATCH --nodes=3
#SBATCH --exclusive
#SBATCH --tasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=5:00:00

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
nodes_array=($nodes)
head_node=${nodes_array[0]}
port=6379
srun --nodes=1 --ntasks=1 -w "$head_node" ray start --head --node-ip-address="$head_node" --port=$port --block &
worker_num=$((SLURM_JOB_NUM_NODES - 1))
for ((i = 1; i <= worker_num; i++)); do
  srun --nodes=1 --ntasks=1 -w "${nodes_array[$i]}" ray start --address "$head_node:$port" --block &
done
wait
python -u tune.py
