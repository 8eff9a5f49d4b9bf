#!/usr/bin/env bash
# Train on several processes of one or more machines:
#   tools/dist_train.sh CONFIG PROCESSES [arguments of train.py]
# On machines without GPUs the processes speak gloo.
set -euo pipefail

CONFIG=$1
PROCESSES=$2

PYTHONPATH="$(dirname "$0")/..:${PYTHONPATH:-}" \
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
