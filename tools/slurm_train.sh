#!/usr/bin/env bash
# Train under Slurm, a process for every GPU:
#   [GPUS=8 GPUS_PER_NODE=8 CPUS_PER_TASK=5 SRUN_ARGS=...] \
#       tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of train.py]
# Without GPUs, so many processes as TASKS says:
#   GPUS=0 TASKS=2 [CPUS_PER_TASK=5 SRUN_ARGS=...] tools/slurm_train.sh ...
set -euo pipefail

GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
if [ "$GPUS" -gt 0 ]; then
    TASKS=$GPUS
    SRUN_ARGS="--gres=gpu:$GPUS_PER_NODE --ntasks-per-node=$GPUS_PER_NODE ${SRUN_ARGS:-}"
else
    export CUDA_VISIBLE_DEVICES=
fi

# shellcheck disable=SC2086
PYTHONPATH="$(dirname "$0")/..:${PYTHONPATH:-}" \
srun --partition="$1" --job-name="$2" \
    --ntasks="${TASKS:-1}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$3" --launcher slurm "${@:4}"
