#!/bin/sh
#SBATCH --job-name=sim-sweep
#SBATCH --array=1-64
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
# A sweep as a Slurm array: each task runs a shard. When all are done:
#   sim merge shard-*.jsonl --into all.jsonl --seeds 1..10001
# `scontrol requeue` of a task goes on where it was.
exec sim scenarios/churn.toml --seeds 1..10001 --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --jobs "$SLURM_CPUS_PER_TASK" --results "shard-$SLURM_ARRAY_TASK_ID.jsonl"
