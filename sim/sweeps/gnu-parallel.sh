#!/bin/sh
# A sweep with GNU parallel, here or over SSH: gnu-parallel.sh SCENARIO SEEDS SHARDS [parallel's options, such as
# --sshloginfile hosts --workdir "$PWD"]. On other hosts `sim` must be in the PATH, and the folder shared.
set -eu
scenario=$1 seeds=$2 shards=$3
shift 3
status=0
seq "$shards" | parallel --line-buffer "$@" \
  sim "$scenario" --seeds "$seeds" --shard "{}/$shards" --results "shard-{}.jsonl" || status=$?
# A shard in which a run failed has failed, too; what came of it says the merging.
[ "$status" -le "$shards" ] || exit "$status"
exec sim merge shard-*.jsonl --into all.jsonl --seeds "$seeds"
