#!/usr/bin/env bash
# The search for proposals as a Slurm job array: each task does its part of the shards, no task waits for another.
# Send it from the checkout; a task that is killed or requeued goes on with the shards it lacks.
#
#   sbatch --array=0-63 tools/slurm_proposals.sh IMAGES OUT [options of data_pipelines/selective_search.py]
#
#SBATCH --job-name=proposals
#SBATCH --array=0-15
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=2G
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
if (($# < 2)); then
    echo "usage: sbatch [--array=0-N] $0 IMAGES OUT [options of data_pipelines/selective_search.py]" >&2
    exit 2
fi
: "${SLURM_ARRAY_TASK_ID:?this is a job array: send it with sbatch --array=0-N}"
# Slurm runs a copy of this file; the folder it was sent from is the checkout.
cd "${SLURM_SUBMIT_DIR:-.}"
[[ -f data_pipelines/selective_search.py ]] || { echo "$PWD is not the checkout; send it from there" >&2; exit 2; }
python=${PYTHON:-.venv/bin/python}
[[ -x $python ]] || python=python
exec "$python" data_pipelines/selective_search.py "$1" "$2" \
    --jobs "${SLURM_CPUS_PER_TASK:-1}" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "${@:3}"
