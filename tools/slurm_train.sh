#!/usr/bin/env bash
# tools/train.py as a Slurm job, one task a GPU: on one node of 8 by default, GPUS=16 on two.
#
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=9] [SRUN_ARGS=...] \
#       tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
#
# PORT: where the tasks meet; by default it follows from the job's number, so that jobs on a node do not collide.
# GRACE seconds before the time is up (default 180), and when it is preempted, the run saves and ends.
set -euo pipefail
if (($# < 4)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2
    exit 2
fi
tools=$(dirname "${BASH_SOURCE[0]}")
python=${PYTHON:-$tools/../.venv/bin/python}
[[ -x $python ]] || python=python
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
# Unquoted on purpose: SRUN_ARGS holds several arguments.
# shellcheck disable=SC2086
exec srun --partition="$1" --job-name="$2" \
    --gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-9}" --kill-on-bad-exit=1 --signal="TERM@${GRACE:-180}" ${SRUN_ARGS:-} \
    "$python" -u "$tools/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
